//! The templates of one ConfigMap: read and checked when it is loaded, then kept as text, and compiled anew when
//! somebody first asks for their kind. What nobody uses costs its text.

use std::sync::Arc;

use crate::object::Gvk;
use crate::parameter::Parameters;
use crate::shared::{Made, Pool};
use crate::template::{self, Before, Template};

static PARAMETERS: Pool<Declared> = Pool::new();
static SHELVES: Pool<Shelf> = Pool::new();

/// The templates of one ConfigMap, by kind, each kind's in order of key.
#[derive(Clone, Debug, Default)]
pub struct Templates {
    parameters: Arc<Declared>,
    shelves: Vec<Arc<Shelf>>,
    /// Each kind of each shelf, once, in their order.
    kinds: Vec<(Arc<Gvk>, usize)>,
}

/// What is under the key `parameters` (empty where there is none), and what it says; many ConfigMaps have the same.
type Declared = Made<Box<str>, Arc<Parameters>>;

impl Declared {
    fn read(&self) -> &Arc<Parameters> {
        // Read without an error when the ConfigMap was loaded, or there are no templates.
        self.made.get_or_init(|| Parameters::parse(&self.source).unwrap_or_default().into())
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
        let Source { key, text, usable, parameters } = &self.source;
        self.made.get_or_init(|| {
            let read = template::read(key, text, parameters.read(), Before::Checked).templates;
            // Those that were refused then are read now too: they stay out by not being named.
            let is_usable = |template: &Template| usable.iter().any(|(_, key)| **key == template.key);
            read.into_iter().filter(is_usable).map(Arc::new).collect()
        })
    }
}

impl Templates {
    /// None yet, with these parameters.
    pub(super) fn with(parameters: Option<&str>) -> Self {
        let text = parameters.unwrap_or_default().into();
        Self { parameters: PARAMETERS.share(Declared::of(text)), ..Self::default() }
    }

    /// Adds those of one key; keys come in their order.
    pub(super) fn put(&mut self, key: &str, text: &str, usable: Vec<(Arc<Gvk>, Box<str>)>) {
        if !usable.is_empty() {
            let usable = usable.into_boxed_slice();
            for (kind, _) in &usable {
                let here = (Arc::clone(kind), self.shelves.len());
                if !self.kinds.contains(&here) {
                    self.kinds.push(here);
                }
            }
            let (key, text, parameters) = (key.into(), text.into(), Arc::clone(&self.parameters));
            let source = Source { key, text, usable, parameters };
            self.shelves.push(SHELVES.share(Shelf::of(source)));
        }
    }

    /// All are in.
    pub(super) fn complete(&mut self) {
        self.shelves.shrink_to_fit();
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

    /// Those of one kind that are compiled, and the length of the text of each key whose are not. Compiles nothing.
    pub(crate) fn ready<'a>(&'a self, kind: &Gvk) -> impl Iterator<Item = Result<&'a Arc<Template>, usize>> {
        let known = self.kinds.iter().filter(move |(known, _)| **known == *kind);
        let shelves = known.filter_map(|(_, at)| self.shelves.get(*at));
        shelves.flat_map(move |shelf| {
            let made = shelf.made.get();
            let waiting = made.is_none().then_some(Err(shelf.source.text.len()));
            let templates = made.into_iter().flatten().filter(move |template| *template.kind == *kind);
            templates.map(Ok).chain(waiting)
        })
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Template>> {
        self.shelves.iter().flat_map(|shelf| shelf.read())
    }

    /// How many keys are compiled.
    pub fn compiled(&self) -> usize {
        self.shelves.iter().filter(|shelf| shelf.made.get().is_some()).count()
    }
}
