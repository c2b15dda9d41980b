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

    /// Puts those of these in force that are not.
    pub(crate) fn add(&self, prefixes: &[KeyPrefix]) {
        let _alone = self.adding.lock();
        let last = self.last();
        let mut set = last.set.to_vec();
        for prefix in prefixes {
            if !set.contains(prefix) {
                set.push(prefix.clone());
            }
        }
        if set.len() > last.set.len() {
            // Nobody else adds, so the place is free.
            let _ = last.next.set(Box::new(Link { set: Arc::new(set), next: OnceLock::new() }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_only_become_more_and_known_ones_take_no_room() {
        let (first, second) = (KeyPrefix::parse("rk_live_").unwrap(), KeyPrefix::parse("ab_").unwrap());
        let prefixes = Prefixes::default();
        assert!(prefixes.get().is_empty());
        prefixes.add(&[first.clone(), first.clone()]);
        let before: *const Link = prefixes.last();
        prefixes.add(&[]);
        prefixes.add(std::slice::from_ref(&first));
        assert!(std::ptr::eq(before, prefixes.last()));
        prefixes.add(std::slice::from_ref(&second));
        assert_eq!(**prefixes.get(), [first, second]);
    }
}
