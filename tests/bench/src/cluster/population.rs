//! A cluster filled with template ConfigMaps, ten to a namespace, each namespace with a master of its own.

use anyhow::Result;
use serde_json::json;

use super::objects;
use super::world::{self, Asking, Standing, World};

/// Template ConfigMaps of one namespace.
pub(super) const EACH: usize = 10;

/// The name of the namespace with this number.
pub(super) fn team(number: usize) -> String {
    format!("team-{number:04}")
}

/// Makes the template ConfigMaps `from..to`; the first of each namespace come first.
pub(super) fn fill(world: &World, from: usize, to: usize, namespaces: usize) -> Result<()> {
    world.each(to.saturating_sub(from), |link, offset| {
        let number = from + offset;
        let namespace = team(number % namespaces);
        world::ensure(link, "/api/v1/namespaces", &json!({"metadata": {"name": namespace}}))?;
        let config_map = objects::of_the_mix(&namespace, number / namespaces);
        world::create(link, &format!("/api/v1/namespaces/{namespace}/configmaps"), &config_map).map(drop)
    })?;
    Ok(())
}

/// Makes the masters of the namespaces `from..to`, each asking for `each` ConfigMaps of its own.
pub(super) fn masters(world: &World, from: usize, to: usize, each: usize) -> Result<Vec<Asking>> {
    world.each(to.saturating_sub(from), |link, offset| {
        let namespace = team(from + offset);
        let name = |position| objects::of_the_mix(&namespace, position)["metadata"]["name"].as_str().map(str::to_owned);
        let wished: Vec<String> = (0..each).filter_map(name).collect();
        let master = world.asking(link, &namespace, "eod", Standing::Master, &wished.join(", "))?;
        // The account of the pods that it launches.
        let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        world::create(link, &accounts, &json!({"metadata": {"name": "post-trade"}}))?;
        Ok(master)
    })
}
