//! Rows that an admin accepts, in both phases: an explicit exception to the closed world, and exactly that wide.

use super::*;

/// The situation with these rows accepted.
fn accepting(rows: &str) -> Situation {
    let mut config_map = yaml::value(TEMPLATES).unwrap();
    config_map["metadata"]["annotations"]["fledged.io/accept-defaults"] = rows.into();
    let set = set(&config_map.to_string());
    let mut situation = situation();
    situation.library = Arc::new(Library::from_iter([set]));
    situation
}

const ROW: &str = "- {apiVersion: batch/v1, kind: Job, path: spec.managedBy, value: example.com/other}";

fn with(pointer: &str, key: &str, value: Value) -> Value {
    let mut object = job();
    object.pointer_mut(pointer).unwrap()[key] = value;
    object
}

fn create(phase: Phase, object: &Value) -> Request {
    request(Operation::Create, phase, Some(object.clone()), None)
}

#[test]
fn a_refusal_of_what_is_too_much_names_the_row_and_how_to_accept_it() {
    let added = with("/spec", "managedBy", "example.com/other".into());
    let line = r#"- {"apiVersion":"batch/v1","kind":"Job","path":"spec.managedBy","value":"example.com/other"}"#;
    let words = ["fledged.io/accept-defaults", line];
    refused(&create(Phase::Mutating, &added), &situation(), Cause::Template, &words);
    // Of a wrong value no row would help.
    let refusal =
        refused(&create(Phase::Mutating, &with("/spec", "parallelism", 9.into())), &situation(), Cause::Template, &[]);
    assert!(!refusal.message.contains("accept-defaults"), "{}", refusal.message);
}

#[test]
fn an_accepted_row_is_admitted_in_both_phases_and_so_is_its_absence() {
    let situation = accepting(ROW);
    for object in [with("/spec", "managedBy", "example.com/other".into()), job()] {
        let admission = admitted(&create(Phase::Mutating, &object), &situation);
        let stamped = patched(&object, &admission);
        assert_eq!(stamped["spec"], object["spec"], "nothing but the stamp is added");
        admitted(&create(Phase::Validating, &stamped), &situation);
    }
    // Added after us, as a policy does that is asked again.
    let mut late = stored(&situation);
    late["spec"]["managedBy"] = "example.com/other".into();
    admitted(&create(Phase::Validating, &late), &situation);
}

#[test]
fn threat_11_another_value_or_place_than_the_accepted_row_is_refused_as_ever() {
    let situation = accepting(ROW);
    for (pointer, key, value) in [
        ("/spec", "managedBy", json!("example.com/mine")),
        ("/spec", "managedBy", json!({"a": "example.com/other"})),
        ("/spec", "suspend", json!(true)),
        ("/spec/template/spec", "hostNetwork", json!(true)),
        ("/spec/template/spec/containers/0", "managedBy", json!("example.com/other")),
        ("/metadata", "labels", json!({"managedBy": "example.com/other"})),
    ] {
        let object = with(pointer, key, value);
        refused(&create(Phase::Mutating, &object), &situation, Cause::Template, &[key]);
        // With the accepted row beside it, too.
        let mut both = object.clone();
        if key != "managedBy" || pointer != "/spec" {
            both["spec"]["managedBy"] = "example.com/other".into();
            refused(&create(Phase::Mutating, &both), &situation, Cause::Template, &[key]);
        }
    }
}

#[test]
fn an_accepted_row_of_one_kind_says_nothing_of_another() {
    let situation = accepting(&ROW.replace("Job", "CronJob"));
    refused(
        &create(Phase::Mutating, &with("/spec", "managedBy", "example.com/other".into())),
        &situation,
        Cause::Template,
        &["managedBy"],
    );
}

#[test]
fn pods_under_a_masters_account_stay_forbidden_whatever_is_accepted() {
    let row = "- {apiVersion: batch/v1, kind: Job, path: spec.template.spec.serviceAccountName, value: eod}\n\
               - {apiVersion: batch/v1, kind: Job, path: spec.template.spec.serviceAccount, value: eod}";
    let mut object = with("/spec/template/spec", "serviceAccountName", "eod".into());
    object["spec"]["template"]["spec"]["serviceAccount"] = "eod".into();
    refused(&create(Phase::Mutating, &object), &accepting(row), Cause::Forbidden, &["trading/eod"]);
}

#[test]
fn an_update_may_come_with_the_accepted_row_and_with_nothing_else() {
    let situation = accepting(ROW);
    let old = stored(&situation);
    let update = |new: &Value| request(Operation::Update, Phase::Validating, Some(new.clone()), Some(old.clone()));
    let put = |key: &str, value: Value| {
        let mut new = old.clone();
        new["spec"][key] = value;
        new
    };
    admitted(&update(&put("managedBy", "example.com/other".into())), &situation);
    refused(&update(&put("managedBy", "example.com/mine".into())), &situation, Cause::Template, &["managedBy"]);
    let mut both = put("managedBy", "example.com/other".into());
    both["spec"]["template"]["spec"]["hostNetwork"] = true.into();
    refused(&update(&both), &situation, Cause::Template, &["hostNetwork"]);
}
