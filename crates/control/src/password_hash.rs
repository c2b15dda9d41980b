//! argon2id as PHC strings, computed in memory that is kept: what each hash would allocate anew, the allocator keeps
//! for each thread that ever computed one, twenty times as much as is ever in use.

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use parking_lot::Mutex;

use crate::Error;

/// argon2id cost (OWASP password storage, ASVS 5.0 appendix): 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
pub(crate) const SALT_BYTES: usize = 16;
pub(crate) const OUTPUT_BYTES: usize = Params::DEFAULT_OUTPUT_LEN;

/// Memory to compute in, one piece for each hash that was ever computed beside others. It grows no further than
/// callers let hashes run at once.
#[derive(Debug, Default)]
pub(crate) struct Workshop {
    spare: Mutex<Vec<Vec<Block>>>,
}

impl Workshop {
    /// Hash of a new password.
    pub(crate) fn hash(&self, password: &str, salt: &[u8; SALT_BYTES]) -> Result<String, Error> {
        let argon2 = argon2()?;
        text(&argon2, salt, self.compute(&argon2, password, salt)?)
    }

    /// Whether the password is the stored one, by the parameters that it was stored with.
    pub(crate) fn verify(&self, password: &str, stored: &str) -> Result<bool, Error> {
        let stored = PasswordHash::new(stored).map_err(Error::internal)?;
        let (Some(salt), Some(expected)) = (&stored.salt, &stored.hash) else { return Ok(false) };
        let algorithm = Algorithm::try_from(stored.algorithm.as_str()).map_err(Error::internal)?;
        let version = stored.version.map(Version::try_from).transpose().map_err(Error::internal)?;
        let params = Params::try_from(&stored).map_err(Error::internal)?;
        let argon2 = Argon2::new(algorithm, version.unwrap_or_default(), params);
        // Outputs compare in constant time.
        Ok(self.compute(&argon2, password, salt)? == *expected)
    }

    fn compute(&self, argon2: &Argon2<'_>, password: &str, salt: &[u8]) -> Result<Output, Error> {
        let length = argon2.params().output_len().unwrap_or(OUTPUT_BYTES);
        let mut output = [0; Output::MAX_LENGTH];
        let output = output.get_mut(..length).ok_or_else(|| Error::internal("a hash that is too long"))?;
        let needed = argon2.params().block_count();
        let mut memory = self.spare.lock().pop().unwrap_or_default();
        if memory.len() < needed {
            memory.resize(needed, Block::default());
        }
        let password = password.as_bytes();
        let computed = argon2.hash_password_into_with_memory(password, salt, output, memory.as_mut_slice());
        // What is left there was made from a password.
        memory.fill(Block::default());
        self.spare.lock().push(memory);
        computed.map_err(Error::internal)?;
        Output::new(output).map_err(Error::internal)
    }
}

/// A hash that is no password's: its output is random. Checking it costs what checking any other costs.
pub(crate) fn of_nothing(salt: &[u8; SALT_BYTES], output: &[u8; OUTPUT_BYTES]) -> Result<String, Error> {
    text(&argon2()?, salt, Output::new(output).map_err(Error::internal)?)
}

fn argon2() -> Result<Argon2<'static>, Error> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(Error::internal)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn text(argon2: &Argon2<'_>, salt: &[u8], output: Output) -> Result<String, Error> {
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(argon2.params()).map_err(Error::internal)?,
        salt: Some(Salt::new(salt).map_err(Error::internal)?),
        hash: Some(output),
    };
    Ok(hash.to_string())
}

#[cfg(test)]
impl Workshop {
    /// How much memory is kept, in pieces and blocks.
    pub(crate) fn kept(&self) -> (usize, usize) {
        let spare = self.spare.lock();
        (spare.len(), spare.iter().map(Vec::len).sum())
    }
}

#[cfg(test)]
mod tests {
    use argon2::{PasswordHasher as _, PasswordVerifier as _};

    use super::*;

    const SALT: [u8; SALT_BYTES] = [7; SALT_BYTES];

    #[test]
    fn hashes_are_those_that_the_library_makes_and_checks_by_itself() {
        let workshop = Workshop::default();
        let theirs = argon2().unwrap().hash_password_with_salt(b"plum tractor", &SALT).unwrap().to_string();
        let ours = workshop.hash("plum tractor", &SALT).unwrap();
        assert_eq!(ours, theirs);
        assert!(workshop.verify("plum tractor", &theirs).unwrap());
        assert!(!workshop.verify("plum tractors", &theirs).unwrap());
        let parsed = PasswordHash::new(&ours).unwrap();
        assert!(Argon2::default().verify_password(b"plum tractor", &parsed).is_ok());
    }

    #[test]
    fn a_hash_with_other_parameters_is_checked_by_its_own() {
        let workshop = Workshop::default();
        for (memory, passes, lanes) in [(1_024, 3, 2), (MEMORY_KIB + 64, 1, 1)] {
            let argon2 = Argon2::from(Params::new(memory, passes, lanes, Some(24)).unwrap());
            let stored = argon2.hash_password_with_salt(b"plum tractor", &SALT).unwrap().to_string();
            assert!(workshop.verify("plum tractor", &stored).unwrap(), "{stored}");
            assert!(!workshop.verify("plum", &stored).unwrap(), "{stored}");
        }
        assert!(workshop.verify("plum tractor", "no hash").is_err());
    }

    #[test]
    fn memory_is_cleared_and_used_again() {
        let workshop = Workshop::default();
        for _ in 0..3 {
            workshop.hash("plum tractor", &SALT).unwrap();
            let spare = workshop.spare.lock();
            assert_eq!(spare.len(), 1);
            assert!(spare[0].iter().all(|block| block.as_ref().iter().all(|word| *word == 0)));
        }
    }

    #[test]
    fn a_hash_of_nothing_is_checked_like_any_other_and_matches_nothing() {
        let workshop = Workshop::default();
        let stored = of_nothing(&SALT, &[3; OUTPUT_BYTES]).unwrap();
        let real = workshop.hash("plum tractor", &SALT).unwrap();
        assert_eq!(
            stored.split('$').take(5).collect::<Vec<_>>(),
            real.split('$').take(5).collect::<Vec<_>>()
        );
        assert_eq!(stored.len(), real.len());
        assert!(!workshop.verify("plum tractor", &stored).unwrap());
    }
}
