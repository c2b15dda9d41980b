//! The data folder: made private, held by one process at a time, home of the operator token and of the key that
//! signs the audit trail.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rndrkit_domain::key_text::{Secret, push_random_base62};
use rndrkit_domain::random::{self, Entropy};
use rndrkit_store::AuditSigner;

use super::resolve::OPERATOR_TOKEN_CHARS_MIN;
use super::{file, parse};

const LOCK_FILE: &str = "lock";
const TOKEN_FILE: &str = "operator-token";
const SIGNING_KEY_FILE: &str = "audit-signing-key";
/// Tells the operator's token from every other secret at a glance.
const TOKEN_PREFIX: &str = "rkop_";
/// 43 × log2(62) = 256 bits.
const TOKEN_CHARS: usize = 43;

/// Why the data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    /// Another process holds it.
    #[error(
        "{path} is in use by another rndrkit process{holder}; stop that one, or give this one \
         a folder of its own with --data-dir"
    )]
    InUse {
        /// The folder, or the database's file.
        path: PathBuf,
        /// ` (process 42)`, when the holder left its number.
        holder: String,
    },
    /// The operator token's file holds something else.
    #[error(
        "{path} does not hold an operator token ({OPERATOR_TOKEN_CHARS_MIN} or more visible characters); delete \
         it and the next start makes a new one"
    )]
    NotAToken {
        /// The file.
        path: PathBuf,
    },
    /// The signing key's file holds something else.
    #[error(
        "{path} does not hold a key for signing the audit trail (64 hexadecimal digits); put the right one back, or \
         delete the file and the next start makes a new one"
    )]
    NotASigningKey {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DataFolderError {
    let path = path.to_owned();
    move |source| DataFolderError::Io { doing, path, source }
}

/// The operator token of the data folder.
#[derive(Debug)]
pub struct OperatorToken {
    /// The token.
    pub secret: Secret,
    /// The file that holds it.
    pub path: PathBuf,
    /// Whether this call made it.
    pub is_new: bool,
}

/// A data folder that this process alone uses, until it is dropped.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    /// Held open: the locks go with them, also when the process is killed.
    locks: Vec<File>,
}

impl DataFolder {
    /// Makes the folder when it is missing, and takes its lock.
    pub fn open(path: &Path) -> Result<Self, DataFolderError> {
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("make", path))?;
        let mut content = std::fs::read_dir(path).map_err(failed("read", path))?;
        if content.next().is_none() {
            // Only in a folder of ours: in a folder that somebody keeps other files in, it would hide them.
            let ignore = path.join(".gitignore");
            std::fs::write(&ignore, "*\n").map_err(failed("write", &ignore))?;
        }
        let lock = take_lock(path, &path.join(LOCK_FILE))?;
        Ok(Self { path: path.to_owned(), locks: vec![lock] })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a process holds the folder now.
    #[must_use]
    pub fn is_in_use(path: &Path) -> bool {
        // A shared lock, and for a moment only: it must not refuse a server that starts just now for longer.
        File::open(path.join(LOCK_FILE))
            .is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// The operator token: read, or made at the first start.
    pub fn operator_token(&self, entropy: &dyn Entropy) -> Result<OperatorToken, DataFolderError> {
        if let Some(token) = Self::read_operator_token(&self.path)? {
            return Ok(token);
        }
        let mut text = TOKEN_PREFIX.to_owned();
        push_random_base62(&mut text, TOKEN_CHARS, entropy);
        let secret = Secret::from_text(text);
        let path = self.path.join(TOKEN_FILE);
        write_private(&path, secret.reveal()).map_err(failed("write", &path))?;
        Ok(OperatorToken { secret, path, is_new: true })
    }

    /// The operator token of a folder that another process may hold.
    pub fn read_operator_token(folder: &Path) -> Result<Option<OperatorToken>, DataFolderError> {
        let path = folder.join(TOKEN_FILE);
        match file::read_text(&path) {
            Ok(text) => {
                let secret = Secret::from_text(text.trim_ascii().to_owned());
                if parse::header_secret(secret.reveal(), OPERATOR_TOKEN_CHARS_MIN) {
                    Ok(Some(OperatorToken { secret, path, is_new: false }))
                } else {
                    Err(DataFolderError::NotAToken { path })
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path)(error)),
        }
    }

    /// The key that signs the audit trail: read, or made at the first start.
    pub fn audit_signer(&self, entropy: &dyn Entropy) -> Result<AuditSigner, DataFolderError> {
        if let Some(signer) = Self::read_audit_signer(&self.path)? {
            return Ok(signer);
        }
        let path = self.path.join(SIGNING_KEY_FILE);
        let key = Secret::from_text(AuditSigner::text_of(&random::bytes(entropy)));
        write_private(&path, key.reveal()).map_err(failed("write", &path))?;
        AuditSigner::parse(key.reveal()).map_err(|_| DataFolderError::NotASigningKey { path })
    }

    /// The signing key of a folder that another process may hold.
    pub fn read_audit_signer(folder: &Path) -> Result<Option<AuditSigner>, DataFolderError> {
        let path = folder.join(SIGNING_KEY_FILE);
        match file::read_text(&path) {
            Ok(text) => {
                let key = Secret::from_text(text.trim_ascii().to_owned());
                let signer = AuditSigner::parse(key.reveal());
                signer.map(Some).map_err(|_| DataFolderError::NotASigningKey { path })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path)(error)),
        }
    }

    /// Makes a database that lies elsewhere this process's own too: its folder's lock does not guard it.
    pub fn lock_database(&mut self, database: &Path) -> Result<(), DataFolderError> {
        if database.parent() == Some(&self.path) {
            return Ok(());
        }
        let mut lock_path = database.as_os_str().to_owned();
        lock_path.push(".lock");
        self.locks.push(take_lock(database, Path::new(&lock_path))?);
        Ok(())
    }

    /// Makes the database's file when it is missing, so that nobody else can read it: SQLite gives the files
    /// beside it the same mode.
    pub fn prepare_database_file(path: &Path) -> Result<(), DataFolderError> {
        let options = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        options.map(drop).map_err(failed("open", path))
    }
}

/// Takes the lock `path`, which guards `guarded`.
fn take_lock(guarded: &Path, path: &Path) -> Result<File, DataFolderError> {
    let options = OpenOptions::new().create(true).append(true).read(true).mode(0o600).open(path);
    let mut lock = options.map_err(failed("open", path))?;
    match lock.try_lock() {
        Ok(()) => {
            // For the message of whoever comes second.
            lock.set_len(0)
                .and_then(|()| write!(lock, "{}", std::process::id()))
                .map_err(failed("write", path))?;
            Ok(lock)
        }
        Err(TryLockError::WouldBlock) => {
            let holder = file::read_text(path).unwrap_or_default();
            let holder =
                if holder.is_empty() { String::new() } else { format!(" (process {})", holder.trim()) };
            Err(DataFolderError::InUse { path: guarded.to_owned(), holder })
        }
        Err(TryLockError::Error(error)) => Err(failed("lock", path)(error)),
    }
}

/// Whole or not at all, also when the machine stops in between.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    let mut file =
        OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&unfinished)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rndrkit_domain::random::OsEntropy;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_folder_is_private_and_never_committed() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/data");
        let folder = DataFolder::open(&path).unwrap();
        assert_eq!(folder.path(), path);
        assert_eq!(mode(&path), 0o700);
        assert_eq!(std::fs::read_to_string(path.join(".gitignore")).unwrap(), "*\n");
    }

    #[test]
    fn a_folder_with_files_of_others_gets_no_gitignore() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("mine"), "").unwrap();
        DataFolder::open(folder.path()).unwrap();
        assert!(!folder.path().join(".gitignore").exists());
    }

    #[test]
    fn a_second_process_on_the_same_folder_is_refused_and_told_who_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataFolder::open(folder.path()).unwrap();
        let refused = DataFolder::open(folder.path()).unwrap_err().to_string();
        assert!(refused.contains(&format!("(process {})", std::process::id())), "{refused}");
        assert!(refused.contains("--data-dir"), "{refused}");
        assert!(DataFolder::is_in_use(folder.path()));
        drop(first);
        assert!(!DataFolder::is_in_use(folder.path()));
        assert!(DataFolder::open(folder.path()).is_ok());
    }

    #[test]
    fn the_operator_token_is_made_once_for_its_owner_alone_and_read_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        assert!(DataFolder::read_operator_token(folder.path()).unwrap().is_none());
        let data = DataFolder::open(folder.path()).unwrap();
        let made = data.operator_token(&OsEntropy).unwrap();
        assert!(made.is_new);
        assert_eq!(made.secret.reveal().len(), "rkop_".len() + 43);
        assert_eq!(mode(&made.path), 0o600);
        let read = data.operator_token(&OsEntropy).unwrap();
        assert!(!read.is_new);
        assert_eq!(read.secret.reveal(), made.secret.reveal());
    }

    #[test]
    fn the_signing_key_is_made_once_for_its_owner_alone_and_read_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::open(folder.path()).unwrap();
        let made = data.audit_signer(&OsEntropy).unwrap().public_key();
        let path = folder.path().join(SIGNING_KEY_FILE);
        assert_eq!(mode(&path), 0o600);
        assert_eq!(data.audit_signer(&OsEntropy).unwrap().public_key(), made);
        std::fs::write(&path, "hunter2\n").unwrap();
        let refused = data.audit_signer(&OsEntropy).unwrap_err().to_string();
        assert!(refused.contains("audit-signing-key") && !refused.contains("hunter2"), "{refused}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "hunter2\n", "what is not ours stays");
    }

    #[test]
    fn a_token_file_with_something_else_in_it_is_refused_without_repeating_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(TOKEN_FILE), "hunter2\n").unwrap();
        let refused = DataFolder::read_operator_token(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("operator-token") && !refused.contains("hunter2"), "{refused}");
    }

    #[test]
    fn the_database_file_is_made_private_and_kept_when_it_exists() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rndrkit.db");
        DataFolder::prepare_database_file(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        std::fs::write(&path, "data").unwrap();
        DataFolder::prepare_database_file(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "data");
    }

    #[test]
    fn a_database_outside_the_folder_has_one_process_too() {
        let parent = tempfile::tempdir().unwrap();
        let database = parent.path().join("elsewhere.db");
        let mut first = DataFolder::open(&parent.path().join("one")).unwrap();
        let mut second = DataFolder::open(&parent.path().join("two")).unwrap();
        first.lock_database(&database).unwrap();
        assert!(matches!(second.lock_database(&database), Err(DataFolderError::InUse { .. })));
    }
}
