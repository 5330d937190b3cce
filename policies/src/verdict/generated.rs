//! Generated credentials: filled in the mutating phase where the caller left them out.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::parameter::{Bindings, Generated};
use crate::recognise;
use crate::request::Phase;
use crate::template::Template;

use super::{Cause, Refusal, Situation};

/// Puts generated values where the object lacks them. `None`: nothing was missing.
///
/// # Errors
/// In the validating phase nothing may be missing any more.
pub(crate) fn fill(
    template: &Template,
    object: &Value,
    bindings: &mut Bindings,
    situation: &Situation,
    phase: Phase,
) -> Result<Option<Value>, Refusal> {
    let missing = recognise::missing(template, bindings);
    if missing.is_empty() {
        return Ok(None);
    }
    if phase == Phase::Validating {
        return Err(Refusal::new(
            Cause::Stamp,
            "a generated value is missing; the mutating webhook fills it, is it configured?",
        ));
    }
    bindings.declared.resize(template.parameters.all.len(), None);
    for position in missing {
        let parameter = &template.parameters.all[position];
        if let Some(generated) = &parameter.generated {
            bindings.declared[position] = Some(text(generated, &situation.seed, &parameter.name).into());
        }
    }
    Ok(Some(recognise::fill(template, object, bindings, &situation.facts)))
}

/// `length` characters of the alphabet, each equally likely: bytes of SHA-256 in counter mode over the fresh seed and
/// the parameter's name, rejecting those that would favour the alphabet's first characters.
fn text(generated: &Generated, seed: &[u8; 32], name: &str) -> String {
    let alphabet: Vec<char> = generated.alphabet.chars().collect();
    let size = alphabet.len().clamp(1, 256);
    let fair = 256 - 256 % size;
    let mut out = String::with_capacity(generated.length);
    let mut taken = 0;
    let mut counter = 0_u64;
    while taken < generated.length {
        let block =
            Sha256::new().chain_update(seed).chain_update(name).chain_update([0]).chain_update(counter.to_be_bytes());
        counter += 1;
        for byte in block.finalize() {
            if taken < generated.length && usize::from(byte) < fair {
                out.push(alphabet.get(usize::from(byte) % size).copied().unwrap_or('x'));
                taken += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_text_has_its_length_and_alphabet_and_depends_on_the_seed() {
        let generated = Generated { length: 200, alphabet: "abc7".into() };
        let one = text(&generated, &[1; 32], "password");
        assert_eq!(one.chars().count(), 200);
        assert!(one.chars().all(|c| "abc7".contains(c)));
        assert!("abc7".chars().all(|c| one.contains(c)), "every character occurs");
        assert_ne!(one, text(&generated, &[2; 32], "password"));
        assert_ne!(one, text(&generated, &[1; 32], "token"));
    }
}
