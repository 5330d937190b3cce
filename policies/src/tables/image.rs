//! Names of images, as far as the pull policy depends on them.

/// Always for the tag `latest`, written or implied; an image that cannot be read has no tag.
pub(super) fn policy_of_image(image: &str) -> &'static str {
    if tag(image) == Some("latest") { "Always" } else { "IfNotPresent" }
}

/// Whether an image is pulled only where it is not there yet, unless its container says otherwise.
pub(crate) fn is_pulled_once(image: &str) -> bool {
    policy_of_image(image) == "IfNotPresent"
}

/// The tag of an image: `latest` where there is neither tag nor digest; none where there is only a digest, or where
/// the name is none.
fn tag(image: &str) -> Option<&str> {
    let (name, digest) = match image.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (image, None),
    };
    let slash = name.rfind('/').map_or(0, |slash| slash + 1);
    let (repository, tag) = match name[slash..].split_once(':') {
        Some((last, tag)) => (&name[..slash + last.len()], Some(tag)),
        None => (name, None),
    };
    let tag_is_one = tag.is_none_or(|tag| {
        (1..=128).contains(&tag.len())
            && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
            && !tag.starts_with(['.', '-'])
    });
    let digest_is_one = digest.is_none_or(|digest| {
        digest.split_once(':').is_some_and(|(algorithm, hex)| {
            !algorithm.is_empty() && hex.len() >= 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
    });
    if !repository_is_one(repository) || !tag_is_one || !digest_is_one {
        return None;
    }
    match (tag, digest) {
        (Some(tag), _) => Some(tag),
        (None, Some(_)) => None,
        (None, None) => Some("latest"),
    }
}

/// Whether a text is a repository: an optional host, then lower-case path components.
fn repository_is_one(repository: &str) -> bool {
    let path = match repository.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => path,
        Some((host, path)) if host.bytes().any(|byte| byte.is_ascii_uppercase()) => path,
        _ => repository,
    };
    // A bare 64-digit hexadecimal name is taken for an image's id.
    if repository.len() == 64 && repository.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return false;
    }
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    path.split('/').all(|part| {
        edge(part.bytes().next())
            && edge(part.bytes().next_back())
            && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_as_registries_do() {
        let digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        let cases = [
            ("app".to_owned(), Some("latest")),
            ("app:latest".to_owned(), Some("latest")),
            ("app:1.2".to_owned(), Some("1.2")),
            ("registry.example:5000/app".to_owned(), Some("latest")),
            ("registry.example:5000/team/app:v1".to_owned(), Some("v1")),
            (format!("app@{digest}"), None),
            (format!("app:latest@{digest}"), Some("latest")),
            (format!("app:1@{digest}"), Some("1")),
            ("App".to_owned(), None),
            (String::new(), None),
            ("app:".to_owned(), None),
            ("app@sha256:short".to_owned(), None),
            ("localhost/app".to_owned(), Some("latest")),
        ];
        for (image, expected) in cases {
            assert_eq!(tag(&image), expected, "{image}");
        }
    }
}
