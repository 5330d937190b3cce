//! What parameters admit, and values that they admit after the longest look.

/// The form of the texts that holes stand for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// `[a-z0-9]*`.
    #[default]
    Letters,
    /// One of many texts.
    Enum(usize),
    /// One of many patterns.
    Branches(usize),
    /// A counted repetition.
    Counted(usize),
    /// A counted repetition that no small table can match.
    Tangled(usize),
    /// A long pattern.
    Long(usize),
    /// A `oneOf` within a `oneOf`, so deep.
    Nested(usize),
    /// A quantity between two.
    Quantity,
    /// An image of one of many repositories.
    Images(usize),
}

/// The form and the length of values.
#[derive(Clone, Debug, Default)]
pub struct Values {
    /// What their schema is.
    pub form: Form,
    /// How many bytes they are filled up to, where the form allows.
    pub length: usize,
}

impl Values {
    /// The schema, as YAML on one line.
    pub fn schema(&self) -> String {
        let text = |pattern: &str| format!(r#"{{type: string, pattern: "{pattern}"}}"#);
        match self.form {
            Form::Letters => text("[a-z0-9]*"),
            Form::Enum(count) => {
                let all: Vec<_> = (0..count.max(1)).map(|at| format!("e{at:06}")).collect();
                format!("{{type: string, enum: [{}]}}", all.join(", "))
            }
            Form::Branches(count) => {
                let all: Vec<_> = (0..count.max(1)).map(|at| text(&format!("b{at:05}[a-z]*"))).collect();
                format!("{{oneOf: [{}]}}", all.join(", "))
            }
            Form::Counted(count) => text(&format!("[a-z0-9]{{0,{count}}}")),
            Form::Tangled(count) => text(&format!("(a|b)*a(a|b){{{count}}}")),
            Form::Long(length) => text(&format!("{}[a-z]*", "(a|b)?".repeat(length / 6))),
            Form::Nested(depth) => (0..depth).fold(text("[a-z0-9]*"), |inner, level| {
                format!("{{oneOf: [{inner}, {}]}}", text(&format!("L{level}")))
            }),
            Form::Quantity => "{type: string, format: quantity, minimum: 1, maximum: 1Ti}".into(),
            Form::Images(count) => {
                let all: Vec<_> = (0..count.max(1)).map(|at| format!("team/app{at}")).collect();
                format!(
                    "{{type: string, format: image, registry: registry.example, repositories: [{}]}}",
                    all.join(", ")
                )
            }
        }
    }

    /// The value number `at`. All that differ in their number differ, where the form has so many.
    pub fn value(&self, at: usize) -> String {
        let filled = |head: String| {
            let missing = self.length.saturating_sub(head.len());
            head + &"a".repeat(missing)
        };
        match self.form {
            Form::Letters | Form::Nested(_) => filled(format!("v{at}")),
            Form::Enum(count) => format!("e{:06}", count.max(1) - 1 - at % count.clamp(1, 8)),
            Form::Branches(count) => filled(format!("b{:05}", count.max(1) - 1)),
            Form::Counted(count) => "a".repeat(count.min(self.length.max(1))),
            // Without a length the pattern alone is what is large.
            Form::Tangled(_) if self.length == 0 => "ab".into(),
            Form::Tangled(count) => {
                let before = self.length.saturating_sub(count + 1);
                let tail = "ab".chars().cycle().take(count);
                "ab".chars().cycle().take(before).chain(['a']).chain(tail).collect()
            }
            Form::Long(_) => filled("ab".into()),
            Form::Quantity => format!("{}m", 1000 + at),
            Form::Images(count) => format!("registry.example/team/app{}:v{at}", count.max(1) - 1),
        }
    }
}
