//! Forms of YAML. Each writes keys of its own beside the template, which are a ConfigMap's manifest.

use crate::dimension::Dimension;
use crate::world::{Kind, World};

/// All of these.
pub const ALL: &[Dimension] = &[
    form("anchors", [16, 600], 20_000, |world, size| add(world, &lines(size, |at| format!("  k{at}: &a{at} x\n")))),
    form("aliases", [21, 600], 60_000, |world, size| {
        add(world, &format!("  k: &a xxxxxxxx\n{}", lines(size, |at| format!("  k{at}: *a\n"))));
    }),
    form("aliased-maps", [8, 300], 60_000, |world, size| {
        let map = lines(20, |at| format!("    m{at}: v\n"));
        add(world, &format!("  k: &a\n{map}{}", lines(size, |at| format!("  k{at}: *a\n"))));
    }),
    form("nested-anchors", [25, 25], 390, |world, size| {
        add(world, &nested(size, |depth| format!("k: &a{depth}")));
    }),
    form("doubling-aliases", [1, 1], 30, |world, size| {
        add(
            world,
            &format!(
                "  k0: &a0 [x, x]\n{}",
                lines(size, |at| format!("  k{}: &a{} [*a{at}, *a{at}]\n", at + 1, at + 1))
            ),
        );
    }),
    form("merges", [8, 300], 40_000, |world, size| {
        let map = lines(20, |at| format!("    m{at}: v\n"));
        add(world, &format!("  k: &a\n{map}{}", lines(size, |at| format!("  k{at}: {{<<: *a, x: y}}\n"))));
    }),
    form("merged-lists", [11, 90], 40_000, |world, size| {
        let maps = lines(size, |at| format!("  k{at}: &a{at} {{m{at}: v}}\n"));
        let all: Vec<_> = (0..size).map(|at| format!("*a{at}")).collect();
        add(world, &format!("{maps}  all: {{<<: [{}]}}\n", all.join(", ")));
    }),
    form("flow", [46, 500], 200_000, |world, size| add(world, &format!("  k: [{}]\n", "x, ".repeat(size)))),
    form("flow-maps", [20, 500], 100_000, |world, size| {
        add(world, &format!("  k: {{{}}}\n", lines(size, |at| format!("k{at}: x, "))));
    }),
    form("flow-depth", [24, 24], 395, |world, size| {
        add(world, &format!("  k: {}{}\n", "[".repeat(size), "]".repeat(size)));
    }),
    form("open-flow", [2_000, 500], 200_000, |world, size| {
        world.keys.push(("open.yaml".into(), format!("k: {}", "[".repeat(size))));
    }),
    form("block-depth", [6, 6], 390, |world, size| add(world, &nested(size, |_| "k:".into()))),
    form("quotes", [18, 500], 100_000, |world, size| {
        add(world, &lines(size, |at| format!("  k{at}: \"a \\u00e9 \\n \"\n")));
    }),
    form("long-quote", [400, 5_000], 200_000, |world, size| {
        add(world, &format!("  k: \"{}\"\n", "\\x41 ".repeat(size)))
    }),
    form("quoted-lines", [330, 2_000], 300_000, |world, size| {
        add(world, &format!("  k: \"{}\"\n", "a\n    ".repeat(size)))
    }),
    form("plain-lines", [360, 2_000], 300_000, |world, size| {
        add(world, &format!("  k: a\n{}", "    a\n".repeat(size)))
    }),
    form("comments", [550, 2_000], 400_000, |world, size| add(world, &format!("  k: v\n{}", "# c\n".repeat(size)))),
    form("long-comment", [3_700, 40_000], 900_000, |world, size| {
        add(world, &format!("  k: v # {}\n", "c ".repeat(size / 2)))
    }),
    form("blank-lines", [2_300, 5_000], 900_000, |world, size| add(world, &format!("  k: v\n{}", "\n".repeat(size)))),
    form("block-scalar", [380, 2_000], 300_000, |world, size| {
        add(world, &format!("  k: |\n{}", "    a\n".repeat(size)))
    }),
    form("folded-scalar", [390, 2_000], 300_000, |world, size| {
        add(world, &format!("  k: >\n{}", "    a\n".repeat(size)))
    }),
    form("block-scalars", [20, 900], 60_000, |world, size| {
        add(world, &lines(size, |at| format!("  k{at}: |\n    a\n")));
    }),
    form("long-key", [3_900, 20_000], 900_000, |world, size| add(world, &format!("  \"{}\": v\n", "k".repeat(size)))),
    form("tags", [18, 900], 60_000, |world, size| add(world, &lines(size, |at| format!("  k{at}: !!str 1\n")))),
    form("numbers", [12, 900], 60_000, |world, size| {
        add(world, &lines(size, |at| format!("  k{at}: \"{at}\"\n  n{at}: 0x1F\n")))
    }),
    form("long-number", [3_300, 5_000], 900_000, |world, size| add(world, &format!("  k: {}\n", "9".repeat(size)))),
    form("documents", [8, 30], 1_000, |world, size| {
        let one = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n";
        world.keys.push(("documents.yaml".into(), one.repeat(size)));
    }),
    form("empty-documents", [74, 900], 200_000, |world, size| {
        world.keys.push(("empty.yaml".into(), format!("---\n{}\n{}", manifest(), "---\n".repeat(size))));
    }),
    form("list-items", [8, 30], 1_000, |world, size| {
        let one = "- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: other}\n";
        world.keys.push(("list.yaml".into(), format!("apiVersion: v1\nkind: List\nitems:\n{}", one.repeat(size))));
    }),
    form("keys", [8, 30], 8_000, |world, size| {
        world.keys.extend((0..size).map(|at| (format!("key{at}.yaml"), manifest().to_owned())));
    }),
    form("twice", [30, 500], 100_000, |world, size| {
        add(world, &lines(size, |at| format!("  k{}: v\n", at % (size - 1))))
    }),
    form("late-error", [270, 500], 200_000, |world, size| add(world, &format!("{}\t x\n", "  # x\n".repeat(size)))),
];

const fn form(name: &'static str, bases: [usize; 2], most: usize, apply: fn(&mut World, usize)) -> Dimension {
    Dimension::of(name, bases, most, apply).on(&[Kind::ConfigMap]).authors()
}

fn manifest() -> &'static str {
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n"
}

/// A key with a manifest whose data is this.
fn add(world: &mut World, data: &str) {
    let name = format!("form{}.yaml", world.keys.len());
    world.keys.push((name, format!("{}data:\n{data}", manifest())));
}

fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(line).collect()
}

fn nested(depth: usize, key: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for level in 0..depth {
        text.push_str(&format!("{}{}\n", " ".repeat(level + 2), key(level)));
    }
    text + &format!("{}k: v\n", " ".repeat(depth + 2))
}
