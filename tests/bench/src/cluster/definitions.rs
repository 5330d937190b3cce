//! What retinue holds beside many large CustomResourceDefinitions, of which templates name a few.

use anyhow::Result;
use serde_json::{Value, json};

use super::objects::config_map;
use super::population::{EACH, fill, team};
use super::starting::{cells, settled};
use super::table::Table;
use super::world::{self, World};

const TEMPLATES: usize = 100;
const DEFINITIONS: usize = 300;
/// Fields of one; with their descriptions they are 100 KB of JSON, and `kubectl apply` keeps as much in an annotation.
const FIELDS: usize = 231;
/// The definitions whose kinds templates name.
const NAMED: [usize; 3] = [0, 150, 299];
/// Definitions of one API group.
const GROUPED: usize = 10;
const PATH: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// Measures, and tells.
pub(super) fn run(world: &World) -> Result<Table> {
    let mut memory = Table::new(
        "Resident memory of both roles beside CustomResourceDefinitions of 100 KB",
        &["MB", "of it own MB", "most ever MB", "bytes each"],
    );
    let namespaces = TEMPLATES / EACH;
    fill(world, 0, TEMPLATES, namespaces)?;
    measure(world, &format!("{TEMPLATES} templates"), &mut memory)?;
    world.each(DEFINITIONS, |link, number| world::create(link, PATH, &definition(number)).map(drop))?;
    let last = format!("{PATH}/{}", definition(DEFINITIONS - 1)["metadata"]["name"].as_str().unwrap_or_default());
    world.until("the last definition", || {
        let conditions = world.admin("GET", &last)?["status"]["conditions"].clone();
        let established = |it: &Value| it["type"] == "Established" && it["status"] == "True";
        Ok(conditions.as_array().is_some_and(|all| all.iter().any(established)))
    })?;
    measure(world, &format!("{TEMPLATES} templates, {DEFINITIONS} definitions"), &mut memory)?;
    world.each(NAMED.len(), |link, index| {
        let manifest = format!(
            "apiVersion: {}/v1\nkind: {}\nmetadata: {{name: \"it-${{run}}\"}}\nspec: {{}}\n",
            group(NAMED[index]),
            kind(NAMED[index])
        );
        let namespace = team(0);
        let parameters = "run: {type: string, pattern: '[0-9]{8}'}\n";
        let map = config_map(&namespace, &format!("custom-{index}"), parameters, "it.yaml", &manifest);
        world::create(link, &format!("/api/v1/namespaces/{namespace}/configmaps"), &map).map(drop)
    })?;
    measure(world, &format!("the same, {} of them named", NAMED.len()), &mut memory)?;
    memory.note("target: the webhook under 40 MB, whatever definitions there are");
    Ok(memory)
}

fn measure(world: &World, what: &str, memory: &mut Table) -> Result<()> {
    let (webhook, controller) = (world.webhook()?, world.controller()?);
    for (role, process) in [("webhook", webhook.process), ("controller", controller.process)] {
        memory.row(&format!("{role}: {what}"), &cells(settled(process)?, None));
    }
    Ok(())
}

fn group(number: usize) -> String {
    format!("bench{}.example.com", number / GROUPED)
}

fn kind(number: usize) -> String {
    format!("Bench{number}")
}

/// A definition as `kubectl apply` leaves it.
fn definition(number: usize) -> Value {
    let field = |field: usize| {
        let schema = json!({"type": "string", "description": format!("{field} is described at length. ").repeat(14)});
        (format!("field{field}"), schema)
    };
    let fields: serde_json::Map<String, Value> = (0..FIELDS).map(field).collect();
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": fields}}});
    let (group, plural) = (group(number), kind(number).to_lowercase());
    let mut definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}"), "annotations": {}},
        "spec": {
            "group": group, "scope": "Namespaced", "names": {"kind": kind(number), "plural": plural},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        },
    });
    let applied = definition.to_string();
    definition["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = applied.into();
    definition
}

#[cfg(test)]
mod tests {
    use anyhow::ensure;

    use super::*;

    #[test]
    fn a_definition_has_the_size_that_is_told() -> Result<()> {
        let size = definition(0)["spec"].to_string().len();
        ensure!((95_000..105_000).contains(&size), "{size}");
        Ok(())
    }
}
