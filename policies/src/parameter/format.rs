//! Formats of text: what quantities, durations and images look like.

/// What a quantity looks like, without anchors.
pub(super) const QUANTITY: &str =
    r"[+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,2}|[numkMGTPE]|[KMGTPE]i)?";
/// What a duration looks like, without anchors.
pub(super) const DURATION: &str = r"[0-9]{1,12}|(?:[0-9]{1,9}d)?(?:[0-9]{1,9}h)?(?:[0-9]{1,9}m)?(?:[0-9]{1,9}s)?";
const DIGEST: &str = "@sha256:[0-9a-f]{64}";
const TAG: &str = ":[A-Za-z0-9_][A-Za-z0-9._-]{0,127}";
const COMPONENT: &str = "[a-z0-9]+(?:[._-]+[a-z0-9]+)*";
const HOST: &str = "[A-Za-z0-9.-]+(?::[0-9]{1,5})?";

/// What an image may be.
#[derive(Clone, Debug, Default)]
pub(super) struct Image {
    /// Registries, host and port; empty: as the repositories say, or any.
    pub(super) registries: Vec<String>,
    /// Repositories; `team/*` for what lies below; without registries, with the registry in front where there is one.
    pub(super) repositories: Vec<String>,
    /// Whether a digest must be there.
    pub(super) digest: Digest,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Digest {
    #[default]
    Optional,
    Required,
}

impl Image {
    /// As a pattern, without anchors.
    pub(super) fn language(&self) -> String {
        let any_path = format!("{COMPONENT}(?:/{COMPONENT})*");
        let any_of = |texts: &[String]| {
            let escaped: Vec<_> = texts
                .iter()
                .map(|text| match text.strip_suffix("/*") {
                    Some(above) => format!("{}/{any_path}", regex_syntax::escape(above)),
                    None => regex_syntax::escape(text),
                })
                .collect();
            format!("(?:{})", escaped.join("|"))
        };
        let name = match (self.registries.is_empty(), self.repositories.is_empty()) {
            (true, true) => format!("(?:{HOST}/)?{any_path}"),
            (false, true) => format!("{}/{any_path}", any_of(&self.registries)),
            (true, false) => any_of(&self.repositories),
            (false, false) => format!("{}/{}", any_of(&self.registries), any_of(&self.repositories)),
        };
        match self.digest {
            Digest::Required => format!("{name}(?:{TAG})?{DIGEST}"),
            Digest::Optional => format!("{name}(?:{TAG})?(?:{DIGEST})?"),
        }
    }

    /// For people.
    pub(super) fn describe(&self) -> String {
        let mut text = String::from("an image");
        if !self.repositories.is_empty() {
            text.push_str(&format!(" {}", self.repositories.join(" or ")));
        }
        if !self.registries.is_empty() {
            text.push_str(&format!(" of {}", self.registries.join(" or ")));
        }
        if self.digest == Digest::Required {
            text.push_str(" with a digest (@sha256:…)");
        }
        text
    }
}
