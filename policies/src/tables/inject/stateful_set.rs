//! What a newer API server reads into a StatefulSet.

use serde_json::Value;

use super::{Situation, add, text};
use crate::tables::At;

/// How many pods of a rolling update may be unavailable at once, where nobody says.
const MAX_UNAVAILABLE: u64 = 1;

/// From 1.37 on an API server says it (feature gate `MaxUnavailableStatefulSet`); before, it drops the field, also where
/// somebody sends it. Both mean the same, so it may be shown and need not be (`SetDefaults_StatefulSet` in
/// pkg/apis/apps/v1/defaults.go, `dropStatefulSetDisabledFields` in pkg/registry/apps/statefulset/strategy.go).
pub(super) fn inject(expected: &mut Value, situation: &Situation<'_>) {
    let rolls = text(expected, "/spec/updateStrategy/type") == Some("RollingUpdate")
        && expected.at("/spec/updateStrategy/rollingUpdate").is_some_and(Value::is_object);
    let shown = situation.shown("/spec/updateStrategy/rollingUpdate/maxUnavailable");
    if rolls && shown == Some(&MAX_UNAVAILABLE.into()) {
        add(expected, &["spec", "updateStrategy", "rollingUpdate"], "maxUnavailable", MAX_UNAVAILABLE.into());
    }
}
