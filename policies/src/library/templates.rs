//! The templates of one ConfigMap: read and checked when it is loaded, then kept as text, and compiled anew when
//! somebody first asks for their kind. What nobody uses costs its text.

use std::collections::HashSet;
use std::sync::Arc;

use crate::object::Gvk;
use crate::parameter::Parameters;
use crate::shared::{Made, Pool};
use crate::template::{self, Template};

static PARAMETERS: Pool<Declared> = Pool::new();
static SHELVES: Pool<Shelf> = Pool::new();

/// The templates of one ConfigMap, by kind, each kind's in order of key.
#[derive(Clone, Debug, Default)]
pub struct Templates {
    parameters: Arc<Declared>,
    shelves: Vec<Arc<Shelf>>,
    /// By shelf: the steps that compiling it took.
    steps: Vec<u64>,
    /// Each kind of each shelf, once, in their order.
    kinds: Vec<(Arc<Gvk>, usize)>,
}

/// What is under the key `parameters` (empty where there is none), and what it says; many ConfigMaps have the same.
type Declared = Made<Box<str>, Arc<Parameters>>;

impl Declared {
    fn read(&self) -> &Arc<Parameters> {
        // Read without an error when the ConfigMap was loaded, or there are no templates.
        self.made.get_or_init(|| self.parse())
    }

    fn parse(&self) -> Arc<Parameters> {
        Parameters::parse(&self.source).unwrap_or_default().into()
    }
}

/// The templates of one `data` key; where several namespaces have the same ones, they have them together.
type Shelf = Made<Source, Box<[Arc<Template>]>>;

/// What the templates of a key follow from.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Source {
    key: Box<str>,
    text: Box<str>,
    /// Kind and key (`job.yaml#2`) of those that can be used.
    usable: Box<[(Arc<Gvk>, Box<str>)]>,
    parameters: Arc<Declared>,
}

impl Shelf {
    fn read(&self) -> &[Arc<Template>] {
        self.made.get_or_init(|| self.make(self.source.parameters.read()).into_iter().map(Arc::new).collect())
    }

    fn make(&self, parameters: &Arc<Parameters>) -> Vec<Template> {
        let Source { key, text, usable, .. } = &self.source;
        let mut read = template::again(key, text, parameters);
        // Those that were refused then are read now too: they stay out by not being named. Both are in order.
        let mut named = usable.iter().peekable();
        read.retain(|template| named.next_if(|(_, key)| **key == template.key).is_some());
        read
    }
}

impl Templates {
    /// None yet, with these parameters.
    pub(super) fn with(parameters: Option<&str>) -> Self {
        let text = parameters.unwrap_or_default().into();
        Self { parameters: PARAMETERS.share(Declared::of(text)), ..Self::default() }
    }

    /// Adds those of one key, which took so many steps to compile; keys come in their order.
    pub(super) fn put(&mut self, key: &str, text: &str, usable: Vec<(Arc<Gvk>, Box<str>)>, steps: u64) {
        if !usable.is_empty() {
            let usable = usable.into_boxed_slice();
            let mut known = HashSet::new();
            let kinds = usable.iter().map(|(kind, _)| kind).filter(|kind| known.insert(&***kind));
            let here = self.shelves.len();
            self.kinds.extend(kinds.map(|kind| (Arc::clone(kind), here)));
            let (key, text, parameters) = (key.into(), text.into(), Arc::clone(&self.parameters));
            let source = Source { key, text, usable, parameters };
            self.shelves.push(SHELVES.share(Shelf::of(source)));
            self.steps.push(steps);
        }
    }

    /// All are in.
    pub(super) fn complete(&mut self) {
        self.shelves.shrink_to_fit();
        self.steps.shrink_to_fit();
        self.kinds.shrink_to_fit();
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.shelves.is_empty()
    }

    /// The kind of every template. Compiles nothing.
    pub fn kinds(&self) -> impl Iterator<Item = &Gvk> {
        self.shelves.iter().flat_map(|shelf| shelf.source.usable.iter().map(|(kind, _)| &**kind))
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
            let alone = shelf.source.usable.len() == 1;
            shelf.read().iter().filter(move |template| alone || *template.kind == *kind)
        })
    }

    /// The steps that [`Templates::of_kind`] may still take to compile what nobody asked for yet, at most. A step of compiling
    /// is some five nanoseconds of one core in a release build. Compiles nothing.
    pub fn effort(&self, kind: &Gvk) -> u64 {
        self.waiting(kind).sum()
    }

    /// Whether [`Templates::of_kind`] compiles something first.
    pub(crate) fn compiles(&self, kind: &Gvk) -> bool {
        self.waiting(kind).next().is_some()
    }

    /// Compiles the first key with templates of this kind that is not compiled yet, if there is one.
    pub(crate) fn compile_one(&self, kind: &Gvk) {
        let known = self.kinds.iter().filter(|(known, _)| **known == *kind);
        let mut shelves = known.filter_map(|(_, at)| self.shelves.get(*at));
        if let Some(shelf) = shelves.find(|shelf| shelf.made.get().is_none()) {
            shelf.read();
        }
    }

    /// Of each key whose templates of this kind are not compiled yet, the steps that compiling them may take
    /// ([`TemplateSet::load`](super::TemplateSet::load) counted them).
    fn waiting(&self, kind: &Gvk) -> impl Iterator<Item = u64> {
        let known = self.kinds.iter().filter(move |(known, _)| **known == *kind);
        let shelves = known.filter_map(|(_, at)| self.shelves.get(*at).zip(self.steps.get(*at)));
        shelves.filter(|(shelf, _)| shelf.made.get().is_none()).map(|(_, steps)| *steps)
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Template>> {
        self.shelves.iter().flat_map(|shelf| shelf.read())
    }

    /// As [`Templates::all`], compiled for whoever asks now: nothing of it is kept.
    pub fn apart(&self) -> Vec<Template> {
        let parameters = self.parameters.parse();
        self.shelves.iter().flat_map(|shelf| shelf.make(&parameters)).collect()
    }

    /// How many keys are compiled.
    pub fn compiled(&self) -> usize {
        self.shelves.iter().filter(|shelf| shelf.made.get().is_some()).count()
    }
}
