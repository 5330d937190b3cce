//! What many templates say alike, kept once.
//!
//! The templates of a cluster differ in names, images and what bounds their holes, and say the same otherwise. What is
//! kept once takes memory once, and is warm when the next review asks for another template.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError, Weak};

/// How many values a pool holds before it looks for those that nobody has any more.
const FEW: usize = 512;

/// Values of one type, each kept for as long as somebody has it.
#[derive(Debug)]
pub(crate) struct Pool<T: ?Sized>(LazyLock<Mutex<Kept<T>>>);

#[derive(Debug)]
struct Kept<T: ?Sized> {
    /// Two that have one hash are not both in it: the second one is not shared.
    by_hash: HashMap<u64, Weak<T>>,
    /// With how many those that nobody has are sought.
    full: usize,
}

impl<T: ?Sized + Eq + Hash> Pool<T> {
    /// An empty one.
    pub(crate) const fn new() -> Self {
        Self(LazyLock::new(|| Mutex::new(Kept { by_hash: HashMap::new(), full: FEW })))
    }

    /// The one that equals `value`; `value` itself if there is none yet.
    pub(crate) fn share<V: Borrow<T> + Into<Arc<T>>>(&self, value: V) -> Arc<T> {
        let mut hasher = DefaultHasher::new();
        value.borrow().hash(&mut hasher);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Kept { by_hash, full } = &mut *kept;
        let hash = hasher.finish();
        if let Some(known) = by_hash.get(&hash).and_then(Weak::upgrade) {
            return if *known == *value.borrow() { known } else { value.into() };
        }
        if by_hash.len() >= *full {
            by_hash.retain(|_, value| value.strong_count() > 0);
            // What nobody has keeps its memory until then: at most a quarter.
            *full = by_hash.len() + FEW.max(by_hash.len() / 4);
        }
        let shared: Arc<T> = value.into();
        by_hash.insert(hash, Arc::downgrade(&shared));
        shared
    }
}

/// What is made of a source when it is first asked for. Equal where the sources are.
#[derive(Debug, Default)]
pub(crate) struct Made<S, T> {
    pub(crate) source: S,
    pub(crate) made: OnceLock<T>,
}

impl<S, T> Made<S, T> {
    /// Not made yet.
    pub(crate) fn of(source: S) -> Self {
        Self { source, made: OnceLock::new() }
    }
}

impl<S: PartialEq, T> PartialEq for Made<S, T> {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl<S: Eq, T> Eq for Made<S, T> {}

impl<S: Hash, T> Hash for Made<S, T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.source.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_equal_is_kept_once_and_as_long_as_somebody_has_it() {
        let pool = Pool::<str>::new();
        let one = pool.share("one");
        assert!(Arc::ptr_eq(&one, &pool.share("one")));
        assert!(!Arc::ptr_eq(&one, &pool.share("two")));
        for number in 0..10 * FEW {
            drop(pool.share(number.to_string()));
        }
        assert!(Arc::ptr_eq(&one, &pool.share("one")));
        let kept = |pool: &Pool<str>| pool.0.lock().unwrap_or_else(PoisonError::into_inner).by_hash.len();
        assert!(kept(&pool) <= FEW + 1, "{}", kept(&pool));
        let all: Vec<_> = (0..10 * FEW).map(|number| pool.share(number.to_string())).collect();
        assert!((all.len()..=all.len() + FEW).contains(&kept(&pool)), "{}", kept(&pool));
    }
}
