//! The templates of one ConfigMap: read and checked when it is loaded, then kept as text, and compiled anew when
//! somebody first asks for their kind. What nobody uses costs its text.

use std::sync::{Arc, OnceLock};

use crate::object::Gvk;
use crate::parameter::Parameters;
use crate::shared::Pool;
use crate::template::{self, Before, Template};

/// The kinds that there are templates of.
static KINDS: Pool<Gvk> = Pool::new();

/// The templates of one ConfigMap, by kind, each kind's in order of key.
#[derive(Clone, Debug, Default)]
pub struct Templates {
    /// What is under the key `parameters`.
    parameters: Option<Box<str>>,
    declared: OnceLock<Arc<Parameters>>,
    shelves: Vec<Shelf>,
    /// Each kind of each shelf, once, in their order.
    kinds: Vec<(Arc<Gvk>, usize)>,
}

/// The templates of one `data` key.
#[derive(Clone, Debug)]
struct Shelf {
    key: Box<str>,
    text: Box<str>,
    /// Kind and key (`job.yaml#2`) of those that can be used.
    usable: Vec<(Arc<Gvk>, Box<str>)>,
    compiled: OnceLock<Vec<Arc<Template>>>,
}

impl Templates {
    /// None yet, with these parameters.
    pub(super) fn with(parameters: Option<&str>) -> Self {
        Self { parameters: parameters.map(Into::into), ..Self::default() }
    }

    /// Adds those of one key; keys come in their order.
    pub(super) fn put(&mut self, key: &str, text: &str, usable: Vec<(Gvk, Box<str>)>) {
        if !usable.is_empty() {
            let (key, text) = (key.into(), text.into());
            let usable: Vec<_> = usable.into_iter().map(|(kind, key)| (KINDS.share(kind), key)).collect();
            for (kind, _) in &usable {
                let here = (Arc::clone(kind), self.shelves.len());
                if !self.kinds.contains(&here) {
                    self.kinds.push(here);
                }
            }
            self.shelves.push(Shelf { key, text, usable, compiled: OnceLock::new() });
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.shelves.is_empty()
    }

    /// The kind of every template. Compiles nothing.
    pub fn kinds(&self) -> impl Iterator<Item = &Gvk> {
        self.shelves.iter().flat_map(|shelf| shelf.usable.iter().map(|(kind, _)| &**kind))
    }

    /// Whether there is one of this kind. Compiles nothing.
    pub fn has(&self, kind: &Gvk) -> bool {
        self.kinds.iter().any(|(known, _)| **known == *kind)
    }

    /// The templates of one kind.
    pub fn of_kind<'a, 'k>(&'a self, kind: &'k Gvk) -> impl Iterator<Item = &'a Arc<Template>> + use<'a, 'k> {
        let known = self.kinds.iter().filter(move |(known, _)| **known == *kind);
        let shelves = known.filter_map(|(_, at)| self.shelves.get(*at));
        shelves.flat_map(move |shelf| {
            let alone = shelf.usable.len() == 1;
            self.read(shelf).iter().filter(move |template| alone || template.kind == *kind)
        })
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Template>> {
        self.shelves.iter().flat_map(|shelf| self.read(shelf))
    }

    /// The same, with nothing compiled.
    #[must_use]
    pub fn as_text(&self) -> Self {
        let cold = |shelf: &Shelf| Shelf { compiled: OnceLock::new(), ..shelf.clone() };
        Self {
            parameters: self.parameters.clone(),
            declared: OnceLock::new(),
            shelves: self.shelves.iter().map(cold).collect(),
            kinds: self.kinds.clone(),
        }
    }

    /// How many keys are compiled.
    pub fn compiled(&self) -> usize {
        self.shelves.iter().filter(|shelf| shelf.compiled.get().is_some()).count()
    }

    fn read<'a>(&'a self, shelf: &'a Shelf) -> &'a [Arc<Template>] {
        shelf.compiled.get_or_init(|| {
            let declared = self.declared.get_or_init(|| {
                // They were read without an error when the ConfigMap was loaded, or there were no templates.
                self.parameters.as_deref().and_then(|text| Parameters::parse(text).ok()).unwrap_or_default().into()
            });
            let read = template::read(&shelf.key, &shelf.text, declared, Before::Checked).templates.into_iter();
            // Those that were refused then are read now too: they stay out by not being named.
            let is_usable = |template: &Template| shelf.usable.iter().any(|(_, key)| **key == template.key);
            read.filter(is_usable).map(Arc::new).collect()
        })
    }
}
