//! The table says what is wrong, and what is missing.
#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]

use proof::figures::{ROWS, Threats, table, threats};

const TABLE: &str = "# head\n\n1 | held | a\n    a.rs threat_1_a\n    b.rs threats_1_and_2_b\n\n2 | held | b\n    b.rs \
                     threats_1_and_2_b\n\n3 | in part | c: more\n    c.rs threat_3_c\n\n4 | not held | d: all\n";

#[test]
fn a_threat_is_held_if_all_its_tests_ran_and_passed() {
    let all = "test x::threat_1_a ... ok\ntest threats_1_and_2_b ... ok\ntest y::threat_3_c ... ok\n";
    let cases = [
        (all.to_owned(), 2, 0),
        (all.replace("threat_1_a ... ok", "threat_1_a ... FAILED"), 1, 1),
        (all.replace("threats_1_and_2_b ... ok", "threats_1_and_2_b ... ignored"), 0, 1),
        (all.replace("test x::threat_1_a ... ok\n", ""), 1, 1),
        (format!("{all}test z::threat_3_c ... FAILED\n"), 2, 1),
        (String::new(), 0, 3),
    ];
    for (log, held, failed) in cases {
        assert_eq!(threats(TABLE, &log), Threats { rows: 4, held, weaker: 2, failed }, "{log}");
    }
}

#[test]
fn a_row_that_is_missing_or_wrong_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let write = |row: &str, text: &str| std::fs::write(folder.path().join(format!("{row}.json")), text).unwrap();
    let held = Threats { rows: 4, held: 2, weaker: 2, failed: 0 };
    let whole = r#"{"tried": 3, "good": 2, "wrong": 0}"#;
    for (row, name, _) in ROWS {
        let (text, sound) = table(folder.path(), held);
        assert!(!sound && text.contains(&format!("{name}: MISSING")), "{text}");
        write(row, whole);
    }
    let (text, sound) = table(folder.path(), held);
    assert!(sound && text.lines().count() == ROWS.len() + 3, "{text}");
    assert!(!table(folder.path(), Threats { failed: 1, ..held }).1);
    assert!(!table(folder.path(), Threats::default()).1, "no threats at all");
    for broken in ["", "{}", r#"{"tried": 0, "good": 0, "wrong": 0}"#, r#"{"tried": 3, "good": 2, "wrong": 1}"#] {
        write("manifests", broken);
        assert!(!table(folder.path(), held).1, "{broken}");
    }
}
