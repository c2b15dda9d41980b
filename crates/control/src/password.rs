//! Passwords: what is accepted, and argon2id on a few threads of its own so that a crowd of sign-ins
//! cannot starve verifications.

use std::sync::Arc;
use std::time::Duration;

use rndrkit_domain::random::{self, Entropy};
use tokio::sync::Semaphore;

use crate::Error;
use crate::password_hash::{OUTPUT_BYTES, SALT_BYTES, Workshop, of_nothing};

/// ASVS 6.2.9: long passwords are allowed; beyond this it is an attack on our memory.
pub(crate) const MAX_PASSWORD_BYTES: usize = 256;
/// Hashes that may wait for a thread: each holds a password and a request, nothing large.
const MAX_WAITING: usize = 1_024;
/// How long one may wait before the answer is "not now".
const MAX_WAIT: Duration = Duration::from_secs(30);

/// Hashes and checks passwords, half the machine's cores at a time.
#[derive(Debug, Clone)]
pub(crate) struct Hasher {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// As much memory as hashes run at once.
    workshop: Arc<Workshop>,
    /// Checked in place of an unknown user's hash, so that both take the same time.
    decoy: Arc<str>,
}

impl Hasher {
    pub(crate) fn new(entropy: &dyn Entropy) -> Result<Self, Error> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let decoy =
            of_nothing(&random::bytes::<SALT_BYTES>(entropy), &random::bytes::<OUTPUT_BYTES>(entropy))?;
        Ok(Self {
            running: Arc::new(Semaphore::new((threads / 2).max(1))),
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
            workshop: Arc::default(),
            decoy: decoy.into(),
        })
    }

    /// Hash of a new password, in PHC string format.
    pub(crate) async fn hash(&self, password: String, entropy: &dyn Entropy) -> Result<String, Error> {
        let salt = random::bytes::<SALT_BYTES>(entropy);
        let workshop = self.workshop.clone();
        self.on_a_thread(move || workshop.hash(&password, &salt)).await
    }

    /// Whether the password is the stored one. Without a stored hash the same work is done in vain.
    pub(crate) async fn verify(&self, password: String, stored: Option<String>) -> Result<bool, Error> {
        let (decoy, workshop) = (self.decoy.clone(), self.workshop.clone());
        self.on_a_thread(move || {
            let known = stored.is_some();
            let right = workshop.verify(&password, stored.as_deref().unwrap_or(&decoy))?;
            Ok(right && known)
        })
        .await
    }

    async fn on_a_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let crowded = || Error::Unavailable("too many passwords are being checked".to_owned());
        let _place = self.waiting.clone().try_acquire_owned().map_err(|_| crowded())?;
        let turn = tokio::time::timeout(MAX_WAIT, self.running.clone().acquire_owned());
        let turn = turn.await.map_err(|_| crowded())?.map_err(Error::internal)?;
        tokio::task::spawn_blocking(move || {
            // Held by the thread: a vanished client does not free the lane while it is still in use.
            let _turn = turn;
            work()
        })
        .await
        .map_err(Error::internal)?
    }
}

/// Why a password is not accepted, in words for the person; none if it is.
///
/// Length, and nothing that is guessed first: no composition rules (NIST SP 800-63B).
pub(crate) fn refusal(password: &str, min_length: usize, email: &str, brand: &str) -> Option<String> {
    if password.chars().count() < min_length {
        return Some(format!("Use {min_length} characters or more. A few unrelated words work well."));
    }
    if password.len() > MAX_PASSWORD_BYTES {
        return Some(format!("Use {MAX_PASSWORD_BYTES} bytes or fewer."));
    }
    let guess: String = password.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
    let local = email.split('@').next().unwrap_or_default();
    let built_on = |word: &str| {
        let word: String = word.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
        word.chars().count() >= 4 && covers_most(&guess, &word)
    };
    if built_on(local) || built_on(email) || built_on(brand) {
        return Some("Use a password that is not built on your address or our name.".to_owned());
    }
    if is_guessed_first(&guess) {
        return Some("This password is among the first that people guess. Use another one.".to_owned());
    }
    None
}

/// Whether `word`, repeated, makes up more than half of `text`.
fn covers_most(text: &str, word: &str) -> bool {
    text.matches(word).count() * word.len() * 2 > text.len()
}

/// Runs and words that head every list of common passwords, alone or chained together.
const COMMON: &[&str] = &[
    "password",
    "passwort",
    "passw0rd",
    "letmein",
    "welcome",
    "iloveyou",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwerty",
    "qwertz",
    "azerty",
    "1234567890",
    "0123456789",
    "123456789",
    "12345678",
    "1234567",
    "123456",
    "12345",
    "1234",
    "123",
    "abcdefghijklmnopqrstuvwxyz",
    "abcdefgh",
    "abc",
    "admin",
    "administrator",
    "secret",
    "changeme",
    "default",
    "correcthorsebatterystaple",
    "monkey",
    "dragon",
    "sunshine",
    "princess",
    "football",
    "baseball",
    "trustno1",
    "superman",
    "starwars",
    "whatever",
    "master",
    "login",
    "test",
    "q1w2e3r4t5y6",
    "1q2w3e4r5t6y",
    "1q2w3e4r",
    "1qaz2wsx3edc4rfv",
    "1qaz2wsx",
    "zaq12wsx",
];

/// Whether nothing but common parts, or one short piece over and over, is left of the text.
fn is_guessed_first(text: &str) -> bool {
    let mut rest = text.to_owned();
    for part in COMMON {
        rest = rest.replace(part, "");
    }
    let distinct = text.chars().collect::<std::collections::BTreeSet<_>>().len();
    rest.chars().count() <= 2 || distinct <= 4
}

#[cfg(test)]
mod tests {
    use rndrkit_domain::random::OsEntropy;

    use super::*;

    fn refused(password: &str) -> bool {
        refusal(password, 15, "ada.lovelace@example.com", "RndrKit").is_some()
    }

    #[test]
    fn long_and_unguessable_passwords_of_any_kind_are_accepted() {
        for good in [
            "plum tractor violin seven",
            "ЖёлтыйТрамвайУтром",
            "aV9#kq!2xP0-zz$Lm",
            &"long horse ".repeat(20),
        ] {
            assert!(!refused(good), "{good}");
        }
    }

    #[test]
    fn short_common_and_personal_passwords_are_refused_with_a_reason() {
        for bad in [
            "fourteen chars",
            "passwordpassword",
            "Password1234567890",
            "qwertyuiopasdfghjkl",
            "123456789012345",
            "aaaaaaaaaaaaaaaaaa",
            "abababababababab",
            "ada.lovelace2026!",
            "RndrKit RndrKit 1",
            &"x1".repeat(200),
        ] {
            assert!(refused(bad), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_password_verifies_against_its_own_hash_only() {
        let hasher = Hasher::new(&OsEntropy).unwrap();
        let stored = hasher.hash("plum tractor violin".to_owned(), &OsEntropy).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(hasher.verify("plum tractor violin".to_owned(), Some(stored.clone())).await.unwrap());
        assert!(!hasher.verify("plum tractor viola".to_owned(), Some(stored)).await.unwrap());
    }

    #[tokio::test]
    async fn an_unknown_user_has_no_right_password() {
        let hasher = Hasher::new(&OsEntropy).unwrap();
        assert!(!hasher.verify("a password that nobody has".to_owned(), None).await.unwrap());
    }

    #[tokio::test]
    async fn twenty_hashes_at_once_need_the_memory_of_those_that_may_run() {
        let hasher = Hasher::new(&OsEntropy).unwrap();
        let running = hasher.running.available_permits();
        let mut crowd = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let hasher = hasher.clone();
            crowd.spawn(async move { hasher.hash("plum tractor violin".to_owned(), &OsEntropy).await });
        }
        for hash in crowd.join_all().await {
            hash.unwrap();
        }
        let (pieces, blocks) = hasher.workshop.kept();
        assert!((1..=running).contains(&pieces), "{pieces} pieces for {running} at once");
        assert_eq!(blocks, pieces * 19_456);
    }
}
