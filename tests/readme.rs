//! What the README shows is what the program prints.

use std::path::Path;
use std::process::Command;

/// Replaces instants, which differ from run to run.
fn timeless(text: &str) -> String {
    text.split(' ')
        .map(|word| if word.starts_with("20") && word.contains('T') && word.ends_with('Z') { "TIME" } else { word })
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn every_console_block_of_the_readme_is_what_the_program_prints() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let mut commands = 0;
    for block in readme.split("```console\n").skip(1) {
        let block = block.split("\n```").next().unwrap();
        let mut shown = block.split("$ retinue ");
        assert_eq!(shown.next(), Some(""), "a block begins with a command");
        for command in shown {
            let (line, expected) = command.split_once('\n').unwrap_or((command, ""));
            let output =
                Command::new(env!("CARGO_BIN_EXE_retinue")).args(line.split(' ')).current_dir(root).output().unwrap();
            let printed =
                format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            let compare = |text: &str| timeless(text.trim_end()).lines().map(timeless).collect::<Vec<_>>().join("\n");
            assert_eq!(compare(&printed), compare(expected), "retinue {line}");
            commands += 1;
        }
    }
    assert!(commands >= 5, "{commands} commands");
}

/// The template ConfigMap that the README prints is the example's, comments aside.
#[test]
fn the_readmes_templates_are_the_examples() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let shown = readme.split("```yaml\n").nth(1).unwrap().split("\n```").next().unwrap();
    let example = std::fs::read_to_string(root.join("examples/post-trade/templates.yaml")).unwrap();
    let read = |text: &str| policies::yaml::value(text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(read(&format!("{shown}\n")), read(&example));
}

/// Every option that a document gives to a command is one that the command takes.
#[test]
fn every_option_that_is_quoted_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_retinue")).args(args).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let global = run(&["--help"]);
    let mut options = 0;
    for name in ["README.md", "DESIGN.md", "deploy/README.md", "deploy/metrics.md"] {
        let text = std::fs::read_to_string(root.join(name)).unwrap();
        for line in text.lines() {
            // Between backquotes, or as a line of a block.
            for quoted in line.split('`') {
                let Some(command) = quoted.split("retinue ").nth(1) else { continue };
                let mut words = command.split([' ', '|', '#', ',']);
                let subcommand = words.next().unwrap_or_default();
                if !global.contains(&format!("\n  {subcommand} ")) {
                    continue;
                }
                let help = run(&[subcommand, "--help"]);
                for word in words.take_while(|word| *word != "kubectl") {
                    let option = word.split('=').next().unwrap_or_default();
                    if option.starts_with("--") && option.len() > 2 {
                        let known = help.split([' ', ',', '\n']).any(|known| known == option);
                        assert!(known, "{name}: retinue {subcommand} takes no {option}: {line}");
                        options += 1;
                    }
                }
            }
        }
    }
    assert!(options > 25, "{options} options");
}
