use super::*;

#[test]
fn generated_names_are_the_prefix_and_five_letters() {
    let long = "a".repeat(60);
    let cut = format!("{}bcdfg", "a".repeat(58));
    let cases = [
        ("run-", "run-x7k2p", true),
        ("run-", "run-x7k2", false),
        ("run-", "run-x7k2pp", false),
        ("run-", "run-aeiou", false),
        ("run-", "other-x7k2p", false),
        ("", "x7k2p", false),
        (long.as_str(), cut.as_str(), true),
    ];
    for (prefix, name, expected) in cases {
        assert_eq!(generated(prefix, name), expected, "{prefix} {name}");
    }
}
