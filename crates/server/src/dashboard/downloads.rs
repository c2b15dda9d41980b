//! Files to take away: how many are made at once, and how they are handed over piece by piece, so that neither many
//! downloads nor slow readers cost memory, or time that requests wait for.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, BoxStream, StreamExt as _};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use rndrkit_domain::id::AccountId;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use super::failure::Failure;

/// Downloads of one account at once: a file for each of two people, or both forms of one.
const MAX_PER_ACCOUNT: usize = 2;
/// Downloads of all accounts at once. Each holds a few pieces of some hundred kilobytes.
const MAX_OVERALL: usize = 8;
/// Pieces that are being made at once: a second core, and the connections to the database, stay with those who wait
/// for keys.
const MAX_AT_WORK: usize = 1;
/// Pieces that are made before the reader takes them.
const PIECES_AHEAD: usize = 1;
/// How long a reader may take for a piece, and for all of them: a place is not kept for those who do not read.
const MAX_PIECE_TIME: Duration = Duration::from_secs(60);
const MAX_TIME: Duration = Duration::from_secs(600);
/// When to ask again: a file takes a second or two to make.
const RETRY: Duration = Duration::from_secs(10);

/// Parts of a file in their order. An error before the first is a page, later it cuts the download off.
pub(super) type Pieces = BoxStream<'static, Result<Bytes, Failure>>;

/// Downloads under way.
#[derive(Debug, Clone)]
pub(super) struct Downloads {
    running: Arc<Mutex<BTreeMap<AccountId, usize>>>,
    at_work: Arc<Semaphore>,
}

/// What travels to the reader. Without the mark at its end a file that broke off would look whole.
enum Sent {
    Piece(Bytes),
    End,
}

/// A download under way; its place is free when it is dropped.
#[derive(Debug)]
pub(super) struct Download {
    account: AccountId,
    downloads: Downloads,
}

impl Default for Downloads {
    fn default() -> Self {
        Self { running: Arc::default(), at_work: Arc::new(Semaphore::new(MAX_AT_WORK)) }
    }
}

impl Downloads {
    /// A place for a download of an account.
    pub(super) fn begin(&self, account: AccountId) -> Result<Download, Failure> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.get(&account).is_some_and(|own| *own >= MAX_PER_ACCOUNT) {
            return Err(busy_account());
        }
        if running.values().sum::<usize>() >= MAX_OVERALL {
            return Err(busy_server());
        }
        *running.entry(account).or_default() += 1;
        Ok(Download { account, downloads: self.clone() })
    }

    fn end(&self, account: AccountId) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = running.get_mut(&account) {
            *own -= 1;
            if *own == 0 {
                running.remove(&account);
            }
        }
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        self.downloads.end(self.account);
    }
}

impl Download {
    /// Answers with a file. The first piece is made before, so that what cannot be read is a page that says so.
    pub(super) async fn answer(
        self,
        name: &str,
        content_type: &'static str,
        mut pieces: Pieces,
    ) -> Result<Response, Failure> {
        let headers = [
            (CONTENT_TYPE, content_type.to_owned()),
            (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
            (CACHE_CONTROL, "no-store".to_owned()),
        ];
        let first = self.next(&mut pieces).await?;
        let (to_reader, sent) = mpsc::channel(PIECES_AHEAD);
        // Made here and not where the reader is served: that thread serves keys.
        tokio::spawn(timeout(MAX_TIME, self.send(first, pieces, to_reader)));
        Ok((headers, body(sent)).into_response())
    }

    /// Makes the next piece when it is this download's turn.
    async fn next(&self, pieces: &mut Pieces) -> Result<Option<Bytes>, Failure> {
        let turn = self.downloads.at_work.acquire().await;
        let _turn = turn.map_err(|closed| Failure::internal(&closed.to_string()))?;
        pieces.next().await.transpose()
    }

    async fn send(self, first: Option<Bytes>, mut pieces: Pieces, to_reader: mpsc::Sender<Sent>) {
        let mut piece = first;
        loop {
            let is_last = piece.is_none();
            let sent = to_reader.send(piece.map_or(Sent::End, Sent::Piece));
            let taken = timeout(MAX_PIECE_TIME, sent).await;
            if is_last || !matches!(taken, Ok(Ok(()))) {
                return;
            }
            // What failed is in the log.
            let Ok(next) = self.next(&mut pieces).await else { return };
            piece = next;
        }
    }
}

fn body(sent: mpsc::Receiver<Sent>) -> Body {
    Body::from_stream(stream::unfold(Some(sent), |sent| async move {
        let mut sent: mpsc::Receiver<Sent> = sent?;
        match sent.recv().await {
            Some(Sent::Piece(bytes)) => Some((Ok(bytes), Some(sent))),
            Some(Sent::End) => None,
            None => Some((Err(io::Error::from(io::ErrorKind::UnexpectedEof)), None)),
        }
    }))
}

/// Does what takes a processor milliseconds on a thread that nothing else waits for.
pub(super) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|cause| Failure::internal(&cause.to_string()))?
}

fn busy_account() -> Failure {
    Failure::new(StatusCode::TOO_MANY_REQUESTS, "Another download is running")
        .say("Your account has as many downloads under way as it may have at once. Wait until one has ended.")
        .later(RETRY)
        .lead("Go to the overview", "/")
}

fn busy_server() -> Failure {
    Failure::new(StatusCode::SERVICE_UNAVAILABLE, "Many downloads are running").later(RETRY).passing()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http_body_util::BodyExt as _;
    use rndrkit_domain::random::OsEntropy;
    use rndrkit_domain::time::Timestamp;

    use super::*;

    fn account() -> AccountId {
        AccountId::generate(Timestamp::from_unix_ms(0), &OsEntropy)
    }

    #[tokio::test]
    async fn pieces_of_all_files_are_made_one_at_a_time() {
        let downloads = Downloads::default();
        let (working, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let read = (0..MAX_OVERALL).map(|_| {
            let download = downloads.begin(account()).unwrap();
            let (working, most) = (working.clone(), most.clone());
            let pieces = stream::iter(0..3).then(move |_| {
                let (working, most) = (working.clone(), most.clone());
                async move {
                    most.fetch_max(working.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    working.fetch_sub(1, Ordering::SeqCst);
                    Ok(Bytes::from_static(b"row\n"))
                }
            });
            async move {
                let answer = download.answer("rows.csv", "text/csv", pieces.boxed()).await.unwrap();
                answer.into_body().collect().await.unwrap().to_bytes()
            }
        });
        for file in futures_util::future::join_all(read).await {
            assert_eq!(file, "row\nrow\nrow\n");
        }
        assert_eq!(most.load(Ordering::SeqCst), MAX_AT_WORK);
    }

    #[tokio::test]
    async fn a_file_whose_making_panics_does_not_look_whole() {
        let pieces = stream::iter(0..2).map(|place| {
            assert_eq!(place, 0, "the test says so");
            Ok(Bytes::from_static(b"row\n"))
        });
        let download = Downloads::default().begin(account()).unwrap();
        let answer = download.answer("rows.csv", "text/csv", pieces.boxed()).await.unwrap();
        assert!(answer.into_body().collect().await.is_err());
    }
}
