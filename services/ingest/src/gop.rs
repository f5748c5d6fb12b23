//! The messages since the last key picture, for who joins between two of them.

use fanlight_bus::Chunk;

/// The current GOP, as sent, bounded in bytes.
#[derive(Debug)]
pub struct GopCache {
    limit: usize,
    chunks: Vec<Chunk>,
    bytes: usize,
    outgrown: bool,
}

impl GopCache {
    /// An empty cache for at most `limit` bytes of payload.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            chunks: Vec::new(),
            bytes: 0,
            outgrown: false,
        }
    }

    /// Adds a message. A GOP over the limit is let go as a whole until the next key picture:
    /// half of one shows nothing.
    pub fn push(&mut self, chunk: &Chunk) {
        if chunk.key {
            self.clear();
        } else if self.outgrown || self.chunks.is_empty() {
            return;
        }
        self.bytes += chunk.payload.len();
        if self.bytes > self.limit {
            self.clear();
            self.outgrown = true;
            return;
        }
        self.chunks.push(chunk.clone());
    }

    /// Forgets everything: the run is over.
    pub fn clear(&mut self) {
        // A new vector: the old one may have grown to thousands of messages once.
        self.chunks = Vec::new();
        self.bytes = 0;
        self.outgrown = false;
    }

    /// What to answer a request with; empty when there is nothing to start from. Payloads are
    /// shared, not copied.
    #[must_use]
    pub fn replay(&self) -> Vec<Chunk> {
        self.chunks.clone()
    }

    /// Whether the current GOP passed the limit, so that who joins waits for the next one.
    #[must_use]
    pub fn is_outgrown(&self) -> bool {
        self.outgrown
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn chunk(seq: u64, key: bool) -> Chunk {
        Chunk {
            run: "1700000000000-a-1".parse().unwrap(),
            seq,
            time: 0,
            key,
            part: None,
            codec: None,
            video: None,
            traceparent: None,
            payload: Bytes::from_static(&[0x47; 188]),
        }
    }

    fn seqs(cache: &GopCache) -> Vec<u64> {
        cache.replay().iter().map(|c| c.seq).collect()
    }

    #[test]
    fn holds_everything_since_the_key() {
        let mut cache = GopCache::new(188 * 10);
        cache.push(&chunk(0, false));
        assert!(cache.replay().is_empty(), "nothing to start from");
        for seq in 1..5 {
            cache.push(&chunk(seq, seq == 1));
        }
        assert_eq!(seqs(&cache), [1, 2, 3, 4]);
        cache.push(&chunk(5, true));
        assert_eq!(seqs(&cache), [5]);
        cache.clear();
        assert!(cache.replay().is_empty() && !cache.is_outgrown());
    }

    #[test]
    fn an_outgrown_gop_is_not_replayed_and_the_next_is() {
        let mut cache = GopCache::new(188 * 3);
        for seq in 0..6 {
            cache.push(&chunk(seq, seq == 0));
        }
        assert!(cache.is_outgrown() && cache.replay().is_empty());
        cache.push(&chunk(6, true));
        assert!(!cache.is_outgrown());
        assert_eq!(seqs(&cache), [6]);
    }
}
