//! A node's line: the one PostgreSQL connection by which it beats, follows the feed and hears of news. Nothing
//! else uses it, so that its loss is one event and no flood of look-ups keeps a beat waiting.
//!
//! Absent here: what a node makes of the answers (the protocol), and trying again (each call is one attempt).

mod session;

use std::sync::Arc;
use std::time::Duration;

use rndrkit_domain::feed::{FeedEntry, FeedNumber};
use rndrkit_domain::node::{Beat, BeatAnswer, BeatMark, Incarnation, Registration};
use sea_orm::sqlx::postgres::{PgArguments, PgListener, PgPool, PgPoolOptions, PgRow};
use sea_orm::sqlx::query::Query;
use sea_orm::sqlx::{self, Row as _};
use sea_orm::{FromQueryResult as _, QueryResult};

use crate::error::Error;
use crate::feed::{ENTRIES, EntryRow, MAX_ENTRIES};
use crate::open::postgres_options;
use crate::roster::{node_columns, now_ms, read_answer, server_columns};
use crate::schema::KNOWN_VERSION;
use crate::sql::StatementCount;
use session::{CONFIRMATIONS, Heard, Hearing, Place, Turn};

/// Sessions of one line: the one in use, and those that were given up while the server owed them an answer. They
/// close by themselves when the answer comes. The bound keeps a server whose commits hang, because its stand-by
/// is gone, from being asked for ever more sessions that hang too.
const SESSIONS: u32 = 4;
/// How often there may be news where notifications do not arrive.
const POLL: Duration = Duration::from_millis(100);

/// Which part of the deadline a word to others may take.
const WORD_SHARE: u32 = 4;

/// The line. Calls are made one after the other; [`Self::news`] is awaited meanwhile.
#[derive(Debug)]
pub struct NodeLine {
    pool: PgPool,
    deadline: Duration,
    place: Place,
    hearing: Arc<Hearing>,
    statements: StatementCount,
}

impl NodeLine {
    /// A line to the server in the URL, which must lead to the same database as the store's and around any pooler
    /// that changes sessions between transactions. Connects with the first call. Every call is answered within
    /// `deadline` or fails.
    pub fn new(url: &str, deadline: Duration) -> Result<Self, Error> {
        // A row that somebody holds must not keep the server busy for longer than we listen.
        let options = postgres_options(url, deadline)?.application_name("rndrkit node");
        let pool = PgPoolOptions::new()
            .max_connections(SESSIONS)
            .acquire_timeout(deadline)
            .idle_timeout(None)
            .max_lifetime(None)
            .after_release(|_, _| Box::pin(async { Ok(false) }))
            .connect_lazy_with(options);
        Ok(Self {
            pool,
            deadline,
            place: Place::default(),
            hearing: Arc::new(Hearing::new(url)),
            statements: StatementCount::default(),
        })
    }

    /// Adds this node's row and raises the longest trust of the installation; then, as a new statement, reads what
    /// a beat answers. May be repeated when its answer was lost.
    pub async fn register(&self, node: Registration) -> Result<BeatAnswer, Error> {
        self.bounded(async {
            let mut turn = self.turn().await?;
            let written = self
                .query(REGISTER)
                .bind(node.incarnation.to_string())
                .bind(node.name)
                .bind(node.beat.to_string())
                .bind(node.version)
                .bind(i64::try_from(node.trust.as_millis()).unwrap_or(i64::MAX))
                .bind(KNOWN_VERSION)
                .execute(turn.session()?)
                .await?;
            if written.rows_affected() == 0 {
                let refusal = self.refusal(turn.session()?).await?;
                turn.done();
                return Err(refusal);
            }
            // The row is committed: from here on everybody who changes something waits for this node.
            let rows = self.query(STANDING).fetch_all(turn.session()?).await?;
            turn.done();
            read_answer(&results(rows))?.ok_or_else(|| Error::unavailable("the row is gone again"))
        })
        .await
    }

    /// Replaces the beat if it is the one that was confirmed or attempted last. None: the row is gone, another
    /// process took it over, or the schema has become one that this version must not decide by.
    ///
    /// The head in the answer is as of the beginning of the statement, before the row is committed. That is safe:
    /// trust counts from before the beat was sent, and every change that was answered before that moment is in
    /// the head. And a change that is committed later finds either the row as it was, with an older `applied`, or
    /// this one, whose `applied` had been reached before it was sent.
    ///
    /// A beat that wakes is followed by a word to those who wait for confirmations, as a transaction of its own:
    /// one that writes nothing does not wait for the disk. In the beat's own transaction the word would hold, over
    /// the beat's commit, a lock that all commits with notifications on the server need. Measured with three nodes
    /// on a busy machine, from a commit to the third confirmation, median: this way 6 ms, within the beat 8 ms,
    /// without a word and looking after 5, 10, 20 and 50 ms 11 ms.
    pub async fn beat(&self, beat: Beat) -> Result<Option<BeatAnswer>, Error> {
        let mut answer = None;
        let both = async {
            let written = self.write_beat(beat).await;
            let is_news = beat.wakes && matches!(written, Ok(Some(_)));
            answer = Some(written);
            if is_news {
                // The beat counts already, and must not be told late. Whoever misses the word looks by himself.
                let told = tokio::time::timeout(self.deadline / WORD_SHARE, self.wake_waiters()).await;
                if !matches!(told, Ok(Ok(()))) {
                    tracing::debug!("those who wait for a confirmation were not woken");
                }
            }
            Ok(())
        };
        let in_time = self.bounded(both).await;
        // An answer that came in time stands, whether or not there was time left for the word.
        answer.unwrap_or_else(|| in_time.map(|()| None))
    }

    /// At most `limit` entries of the feed in order of number, `from` included.
    pub async fn entries(&self, from: FeedNumber, limit: u32) -> Result<Vec<FeedEntry>, Error> {
        self.bounded(async {
            let mut turn = self.turn().await?;
            let limit = i64::from(limit.min(MAX_ENTRIES));
            let rows = self.query(ENTRIES).bind(from).bind(limit).fetch_all(turn.session()?).await?;
            turn.done();
            let rows = results(rows);
            rows.iter().map(|row| EntryRow::from_query_result(row, "")?.into_entry()).collect()
        })
        .await
    }

    /// Takes away the row of a node that has not been heard of, if its beat is still this one; whether it was.
    pub async fn reap(&self, node: Incarnation, beat: BeatMark) -> Result<bool, Error> {
        self.bounded(async {
            let mut turn = self.turn().await?;
            let sql = "DELETE FROM nodes WHERE incarnation = $1 AND beat = $2";
            let query = self.query(sql).bind(node.to_string()).bind(beat.to_string());
            let reaped = query.execute(turn.session()?).await?;
            turn.done();
            Ok(reaped.rows_affected() > 0)
        })
        .await
    }

    /// Takes this node's row away: it has stopped deciding.
    pub async fn leave(&self, node: Incarnation) -> Result<(), Error> {
        self.bounded(async {
            let mut turn = self.turn().await?;
            let query = self.query("DELETE FROM nodes WHERE incarnation = $1").bind(node.to_string());
            query.execute(turn.session()?).await?;
            turn.done();
            Ok(())
        })
        .await
    }

    /// Resolves when something may be new in the feed, and when the line was lost or found again. News that came
    /// since the last call resolve it at once; several may be one. Where notifications do not arrive, it resolves
    /// every 100 ms.
    pub async fn news(&self) {
        loop {
            tokio::select! {
                biased;
                () = self.place.changed() => return,
                heard = self.place.listen() => if heard == Heard::News { return },
                () = tokio::time::sleep(POLL), if self.hears() == Some(false) => return,
            }
        }
    }

    /// Resolves when another node may have confirmed something, as long as somebody awaits [`Self::news`].
    pub async fn confirmed(&self) {
        self.place.confirmed().await;
    }

    /// Whether notifications arrive; none while that has not been found out. They do not behind a pooler that
    /// changes sessions between transactions.
    pub fn hears(&self) -> Option<bool> {
        self.hearing.verdict()
    }

    /// Statements sent over this line.
    pub fn statements_total(&self) -> u64 {
        self.statements.total()
    }

    /// Closes the connection. Later calls fail.
    pub async fn close(&self) {
        self.place.clear().await;
        // One that the server owes an answer closes when that comes.
        let _ = tokio::time::timeout(self.deadline, self.pool.close()).await;
    }

    async fn write_beat(&self, beat: Beat) -> Result<Option<BeatAnswer>, Error> {
        let mut turn = self.turn().await?;
        let rows = self
            .query(BEAT)
            .bind(beat.incarnation.to_string())
            .bind(beat.confirmed.to_string())
            .bind(beat.attempted.to_string())
            .bind(beat.next.to_string())
            .bind(beat.applied)
            .bind(KNOWN_VERSION)
            .fetch_all(turn.session()?)
            .await?;
        turn.done();
        read_answer(&results(rows))
    }

    async fn wake_waiters(&self) -> Result<(), Error> {
        let mut turn = self.turn().await?;
        self.query("SELECT pg_notify($1, '')").bind(CONFIRMATIONS).execute(turn.session()?).await?;
        turn.done();
        Ok(())
    }

    /// Why no row could be added.
    async fn refusal(&self, session: &mut PgListener) -> Result<Error, Error> {
        let query = self.query("SELECT version, oldest_runnable FROM schema_version");
        let row = query.fetch_one(session).await?;
        let (found, needs): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        Ok(if needs > KNOWN_VERSION {
            Error::NewerSchema { found, needs, known: KNOWN_VERSION }
        } else {
            Error::unavailable("another process has this incarnation")
        })
    }

    fn query(&self, sql: &'static str) -> Query<'static, sqlx::Postgres, PgArguments> {
        self.statements.add_one();
        sqlx::query(sql)
    }

    /// The session, connected anew if there is none. One turn at a time.
    async fn turn(&self) -> Result<Turn<'_>, Error> {
        let mut turn = self.place.take().await;
        if turn.connect(&self.pool).await? {
            self.hearing.find_out();
        }
        Ok(turn)
    }

    /// Gives up at the deadline. What was asked stays asked: no cancel is sent, because a commit that waits for a
    /// stand-by would then report success; and whatever turn is not over leaves no session for the next.
    async fn bounded<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        match tokio::time::timeout(self.deadline, call).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::unavailable("the database did not answer in time")),
        }
    }
}

fn results(rows: Vec<PgRow>) -> Vec<QueryResult> {
    rows.into_iter().map(QueryResult::from).collect()
}

/// Repeated with the same beat it is our own lost attempt; with another it is somebody else's row. A version that
/// must not run on the schema any more is not let in, and a beat of it is not taken: it would decide by tables
/// that mean something else now.
const REGISTER: &str = concat!(
    "WITH longest AS (UPDATE cluster SET longest_trust_ms = $5 WHERE longest_trust_ms < $5)
     INSERT INTO nodes (incarnation, name, beat, applied, version, trust_ms, started_at, seen_at)
     SELECT $1, $2, $3, 0, $4, $5, ",
    now_ms!(),
    ", ",
    now_ms!(),
    " WHERE (SELECT oldest_runnable FROM schema_version) <= $6
     ON CONFLICT (incarnation) DO UPDATE SET seen_at = excluded.seen_at WHERE nodes.beat = excluded.beat"
);

const STANDING: &str = concat!(
    "SELECT head.number, head.tag, head.oldest, ",
    now_ms!(),
    " AS now_ms, ",
    server_columns!(),
    ", ",
    node_columns!(),
    " FROM feed_head AS head CROSS JOIN nodes ORDER BY incarnation"
);

/// The other rows are read as they were when the statement began, this node's as it is written.
const BEAT: &str = concat!(
    "WITH own AS (
         UPDATE nodes SET beat = $4, applied = $5, seen_at = ",
    now_ms!(),
    " WHERE incarnation = $1 AND beat IN ($2, $3)
             AND (SELECT oldest_runnable FROM schema_version) <= $6
         RETURNING ",
    node_columns!(),
    "), node AS (
         SELECT * FROM own
         UNION ALL
         SELECT ",
    node_columns!(),
    " FROM nodes WHERE incarnation <> $1 AND EXISTS (SELECT 1 FROM own)
     )
     SELECT head.number, head.tag, head.oldest, ",
    now_ms!(),
    " AS now_ms, ",
    server_columns!(),
    ", node.* FROM feed_head AS head CROSS JOIN node ORDER BY incarnation"
);
