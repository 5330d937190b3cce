//! Template ConfigMaps that cost their reader much, by what they repeat.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

/// As large as the API server lets the data of a ConfigMap be.
pub(crate) const MOST: usize = 1 << 20;

/// A ConfigMap with these parameters and these keys.
pub(crate) fn config_map<'a>(parameters: &str, keys: impl IntoIterator<Item = (&'a str, String)>) -> Value {
    let mut data: Map<_, _> = keys.into_iter().map(|(key, text)| (key.to_owned(), text.into())).collect();
    if !parameters.is_empty() {
        data.insert("parameters".into(), parameters.into());
    }
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": "slow", "namespace": "trading", "uid": "u", "resourceVersion": "1",
            "labels": {"fledged.io/templates": "true"}, "annotations": {"fledged.io/masters": "eod"},
        },
        "data": data,
    })
}

/// Two letters of a number: `aa`, `ab`, …
fn letters(number: usize) -> String {
    let letters: Vec<char> = ('a'..='z').chain('A'..='Z').collect();
    [number / 32, number % 32].iter().map(|at| letters[*at % letters.len()]).collect()
}

/// Texts of `holes` holes, each of which may be empty, no two of which can be mistaken for each other.
pub(crate) fn empty_holes(holes: usize, length: usize, texts: usize) -> Value {
    let mut parameters = String::new();
    for hole in 0..holes {
        let _ = writeln!(parameters, "p{hole}: {{type: string, pattern: \"({}[0-9]{{0,{length}}})?\"}}", letters(hole));
    }
    let all: String = (0..holes).map(|hole| format!("${{p{hole}}}")).collect();
    let mut text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n".to_owned();
    for number in 0..texts {
        let _ = writeln!(text, "  a{number}: \"{number}{all}\"");
    }
    config_map(&parameters, [("cm.yaml", text)])
}

/// The shortest of that family.
pub(crate) fn one_empty_text() -> Value {
    let mut map = empty_holes(100, 100, 1);
    let all: String = (0..100).map(|hole| format!("${{p{hole}}}")).collect();
    map["data"]["cm.yaml"] =
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x}}\ndata: {{a: \"{all}\"}}\n").into();
    map
}

/// A pod whose container has these variables.
fn pod(env: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n  restartPolicy: Never\n  containers:\n  - name: main\n    \
         image: registry.example/a:1\n    env:\n{env}"
    )
}

/// Variables with holes in their names, which differ by their ends, and as many with literal names and holes in their values.
pub(crate) fn variables(number: usize) -> Value {
    let mut env = String::new();
    for at in 0..number {
        let _ = writeln!(env, "    - {{name: \"L_{at:05}\", value: \"${{app}}\"}}");
    }
    for at in 0..number {
        let _ = writeln!(env, "    - {{name: \"${{app}}_{at:05}\", value: \"${{app}}\"}}");
    }
    config_map("app: {type: string, pattern: \"[a-z]+\"}\n", [("pod.yaml", pod(&env))])
}

/// Variables of one name with a hole, told apart by their values; `same` of them by nothing.
pub(crate) fn variables_by_value(number: usize) -> Value {
    let env: String = (0..number).fold(String::new(), |mut env, at| {
        let _ = writeln!(env, "    - {{name: \"${{app}}\", value: \"v{at}\"}}");
        env
    });
    config_map("app: {type: string, pattern: \"[a-z]+\"}\n", [("pod.yaml", pod(&env))])
}

/// Variables that nothing at the beginning or the end of a field tells apart, but a pattern in between.
pub(crate) fn variables_alike(number: usize) -> Value {
    let mut parameters = String::new();
    let mut env = String::new();
    for at in 0..number {
        let _ = writeln!(parameters, "p{at}: {{type: string, enum: [\"x{at}y\", \"y{at}x\"]}}");
        let _ = writeln!(
            env,
            "    - {{name: \"A${{p{at}}}${{p{at}}}B\", valueFrom: {{fieldRef: {{fieldPath: \"${{p{at}}}\"}}}}}}"
        );
    }
    config_map(&parameters, [("pod.yaml", pod(&env))])
}

/// Variables named by disjoint enums.
pub(crate) fn variables_of_enums(number: usize, values: usize) -> Value {
    let (mut parameters, mut env) = (String::new(), String::new());
    for at in 0..number {
        let all: Vec<_> = (0..values).map(|value| format!("V{at}_{value}")).collect();
        let _ = writeln!(parameters, "p{at}: {{type: string, enum: [{}]}}", all.join(", "));
        let _ = writeln!(env, "    - {{name: \"${{p{at}}}\", value: x}}");
    }
    config_map(&parameters, [("pod.yaml", pod(&env))])
}

/// A list hole, and then literals that its items admit, with another list hole at the end.
pub(crate) fn between_list_holes(literals: usize) -> Value {
    let literals: String = (0..literals).map(|at| format!("    - a{at}\n")).collect();
    let args = format!("    - ${{one}}\n{literals}    - ${{two}}\n");
    let list =
        "{type: array, items: {oneOf: [{type: string, pattern: \"a[0-9]+\"}, {type: string, pattern: \"b[0-9]+\"}]}}";
    let pod = pod("    - {name: X, value: x}\n").replace("    env:\n", &format!("    args:\n{args}    env:\n"));
    config_map(&format!("one: {list}\ntwo: {list}\n"), [("pod.yaml", pod)])
}

/// Each key expands its aliases to as much as one text may.
pub(crate) fn aliases(keys: usize) -> Value {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\na: &a [x, x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, \
                *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c, *c, *c]\n";
    let names: Vec<_> = (0..keys).map(|key| format!("k{key}.yaml")).collect();
    config_map("", names.iter().map(|name| (name.as_str(), text.to_owned())))
}

/// Patterns of a few bytes that compile to as much as one pattern may.
pub(crate) fn patterns(number: usize) -> Value {
    let mut parameters = "all:\n  type: object\n  properties:\n".to_owned();
    for at in 0..number {
        let _ =
            writeln!(parameters, "    p{at}: {{type: string, pattern: \"{}[^a]{{{}}}\"}}", letters(at), 180 + at % 60);
    }
    config_map(&parameters, [("pod.yaml", pod("    - {name: X, value: x}\n"))])
}

/// Texts of parameters whose automata are large.
pub(crate) fn automata(number: usize) -> Value {
    let (mut parameters, mut env) = (String::new(), String::new());
    for at in 0..number {
        let name = letters(at);
        let _ = writeln!(parameters, "p{at}: {{type: string, pattern: \"{name}(a|b)*a(a|b){{11}}\"}}");
        let _ = writeln!(env, "    - {{name: E{at}, value: \"${{p{at}}}-${{q}}\"}}");
    }
    parameters.push_str("q: {type: string, pattern: \"[0-9]+\"}\n");
    config_map(&parameters, [("pod.yaml", pod(&env))])
}

/// A long enum under a pattern without a table.
pub(crate) fn enumeration(values: usize) -> Value {
    let all: Vec<_> =
        (0..values).map(|at| format!("ba{at:012b}")).map(|text| text.replace('0', "a").replace('1', "b")).collect();
    let parameters = format!("e: {{type: string, pattern: \"(a|b)*a(a|b){{12}}\", enum: [{}]}}\n", all.join(", "));
    config_map(&parameters, [("pod.yaml", pod("    - {name: X, value: \"${e}\"}\n"))])
}

/// Many texts of one long enum.
pub(crate) fn texts_of_an_enum(values: usize, texts: usize) -> Value {
    let all: Vec<_> = (0..values).map(|at| format!("v{at}")).collect();
    let parameters = format!("e: {{type: string, enum: [{}]}}\n", all.join(", "));
    let env = (0..texts).fold(String::new(), |mut env, at| {
        let _ = writeln!(env, "    - {{name: E{at}, value: \"x-${{e}}\"}}");
        env
    });
    config_map(&parameters, [("pod.yaml", pod(&env))])
}

/// Names between braces that resemble each parameter a little.
pub(crate) fn typos(parameters: usize, mentions: usize) -> Value {
    let other = "wvutsrqponmlkjihgfedcbazyxwvutsrqponmlkjihgfedcba";
    let stem = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvw";
    let parameters: String = (0..parameters).map(|at| format!("{stem}{at:05}: {{type: string}}\n")).collect();
    let args = (0..mentions).fold(String::new(), |mut args, at| {
        let _ = writeln!(args, "  a{at}: \"${{{other}{at:05}}}\"");
        args
    });
    config_map(
        &parameters,
        [("cm.yaml", format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x}}\ndata:\n{args}"))],
    )
}

/// Many masters in as many namespaces, and templates of as many kinds.
pub(crate) fn masters(masters: usize, templates: usize, kinds: usize) -> Value {
    let names: Vec<_> = (0..masters).map(|at| format!("n{at}/m")).collect();
    let keys: Vec<_> = (0..templates.div_ceil(500))
        .map(|key| {
            let of_key = (key * 500)..templates.min((key + 1) * 500);
            let all = of_key.map(|at| {
                format!("apiVersion: a.b/v1\nkind: K{}\nmetadata: {{name: x}}\nspec: {{containers: []}}\n", at % kinds)
            });
            (format!("k{key}.yaml"), all.collect::<Vec<_>>().join("---\n"))
        })
        .collect();
    let mut map = config_map("", keys.iter().map(|(key, text)| (key.as_str(), text.clone())));
    map["metadata"]["annotations"]["fledged.io/masters"] = names.join(",").into();
    map
}

/// Keys whose texts are no manifests.
pub(crate) fn keys(number: usize) -> Value {
    let names: Vec<_> = (0..number).map(|at| format!("{at}")).collect();
    config_map("", names.iter().map(|name| (name.as_str(), "x".to_owned())))
}

/// Errors at the end of a long way of keys.
pub(crate) fn errors(number: usize, depth: usize) -> Value {
    let below: Vec<_> = (0..number).map(|at| format!("\"a{at}${{app}}\": b")).collect();
    let way = format!("{{{}: ", "k".repeat(1000)).repeat(depth);
    let text = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x}}\nx: {way}{{{}}}{}\n",
        below.join(", "),
        "}".repeat(depth)
    );
    config_map("app: {type: string}\n", [("cm.yaml", text)])
}

/// A text of holes, each of which may be empty and begins as the others do, which a letter after many digits tells apart.
pub(crate) fn alike_for_long(holes: usize, length: usize) -> Value {
    let parameters: String = (0..holes)
        .map(|hole| format!("p{hole}: {{type: string, pattern: \"(x[0-9]{{{length}}}{})?\"}}\n", letters(hole)))
        .collect();
    let all: String = (0..holes).map(|hole| format!("${{p{hole}}}")).collect();
    let text = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x}}\ndata:\n  a: b\n  c: \"{all}\"\n");
    config_map(&parameters, [("cm.yaml", text)])
}

/// Flow lists within one another, and many elements in the innermost.
pub(crate) fn nested(depth: usize, elements: usize, leaf: &str) -> Value {
    let inner = vec![leaf; elements].join(", ");
    let text = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x}}\nx: {}{inner}{}\n",
        "[".repeat(depth),
        "]".repeat(depth)
    );
    config_map("app: {type: string}\n", [("cm.yaml", text)])
}

/// Pods' accounts within one another.
pub(crate) fn accounts(depth: usize, elements: usize) -> Value {
    let inner = vec!["\"${app}\""; elements].join(", ");
    let text = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x}}\nx: {}[{inner}]{}\n",
        "{serviceAccountName: ".repeat(depth),
        "}".repeat(depth)
    );
    config_map("app: {type: string, enum: [a, b]}\n", [("cm.yaml", text)])
}

/// Lines of one text.
pub(crate) fn lines(head: &str, line: &str, bytes: usize) -> Value {
    let text = format!("{head}{}", line.repeat(bytes / line.len()));
    config_map("app: {type: string}\n", [("cm.yaml", text)])
}
