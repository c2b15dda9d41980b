//! Members and waiters over a database that can be slow, cut off or restored.
