//! The prefixes in force, read without a lock and without counting who reads.
//!
//! A list that only grows: each link is a whole set of prefixes, made when there was a new one, and the last is
//! in force. An installation changes its prefix a few times in its life, so the list is a link or two.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use rndrkit_domain::key_text::KeyPrefix;

#[derive(Default)]
struct Link {
    set: Arc<Vec<KeyPrefix>>,
    next: OnceLock<Box<Link>>,
}

/// All prefixes that this installation has ever used, as far as is known here.
#[derive(Default)]
pub(crate) struct Prefixes {
    first: Link,
    /// Held by whoever adds a link.
    adding: Mutex<()>,
}

impl Prefixes {
    fn last(&self) -> &Link {
        let mut link = &self.first;
        while let Some(next) = link.next.get() {
            link = next;
        }
        link
    }

    /// Those in force.
    pub(crate) fn get(&self) -> &Arc<Vec<KeyPrefix>> {
        &self.last().set
    }

    /// Puts others in force, made from those that are. Adds nothing when they are the same.
    pub(crate) fn update(&self, change: impl FnOnce(&[KeyPrefix]) -> Vec<KeyPrefix>) {
        let _alone = self.adding.lock();
        let last = self.last();
        let set = change(&last.set);
        if set != **last.set {
            // Nobody else adds, so the place is free.
            let _ = last.next.set(Box::new(Link { set: Arc::new(set), next: OnceLock::new() }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_set_is_in_force_and_the_same_set_again_takes_no_room() {
        let (first, second) = (KeyPrefix::parse("rk_live_").unwrap(), KeyPrefix::parse("ab_").unwrap());
        let prefixes = Prefixes::default();
        assert!(prefixes.get().is_empty());
        prefixes.update(|_| vec![first.clone()]);
        let before: *const Link = prefixes.last();
        prefixes.update(<[KeyPrefix]>::to_vec);
        assert!(std::ptr::eq(before, prefixes.last()));
        prefixes.update(|known| [known, std::slice::from_ref(&second)].concat());
        assert_eq!(**prefixes.get(), [first, second]);
    }
}
