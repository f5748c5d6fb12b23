//! What can be wrong with a stream, as a closed set, and the counters of it.

/// A kind of damage; the label set of `ts_errors_total{kind}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum TsErrorKind {
    /// A packet did not start where the one before it ended; counted once each time sync is lost.
    SyncLoss,
    /// The input ended inside a packet.
    Truncated,
    /// A packet carries the transport error flag.
    TransportError,
    /// Adaptation field of an impossible length, or the reserved field control 0.
    Malformed,
    /// A continuity counter jumped: packets are missing or out of order.
    Continuity,
    /// A payload is scrambled and cannot be judged.
    Scrambled,
    /// A section of PAT or PMT with a wrong CRC.
    PsiCrc,
    /// A section of PAT or PMT that contradicts itself.
    PsiSyntax,
    /// A video PES packet without a readable header.
    PesHeader,
    /// A video PES packet shorter or longer than its header says.
    PesLength,
    /// A parameter set or sequence header that cannot be read.
    ParameterSet,
    /// A chunk reached its size limit and was cut.
    Oversize,
}

/// How often each kind was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErrorCounts {
    counts: [u64; TsErrorKind::ALL.len()],
}

// === impl TsErrorKind ===

impl TsErrorKind {
    /// Every kind, so that counters can start at 0.
    pub const ALL: [TsErrorKind; 12] = [
        TsErrorKind::SyncLoss,
        TsErrorKind::Truncated,
        TsErrorKind::TransportError,
        TsErrorKind::Malformed,
        TsErrorKind::Continuity,
        TsErrorKind::Scrambled,
        TsErrorKind::PsiCrc,
        TsErrorKind::PsiSyntax,
        TsErrorKind::PesHeader,
        TsErrorKind::PesLength,
        TsErrorKind::ParameterSet,
        TsErrorKind::Oversize,
    ];

    /// The metric label, for example `sync_loss`.
    pub const fn label(self) -> &'static str {
        match self {
            TsErrorKind::SyncLoss => "sync_loss",
            TsErrorKind::Truncated => "truncated",
            TsErrorKind::TransportError => "transport_error",
            TsErrorKind::Malformed => "malformed",
            TsErrorKind::Continuity => "continuity",
            TsErrorKind::Scrambled => "scrambled",
            TsErrorKind::PsiCrc => "psi_crc",
            TsErrorKind::PsiSyntax => "psi_syntax",
            TsErrorKind::PesHeader => "pes_header",
            TsErrorKind::PesLength => "pes_length",
            TsErrorKind::ParameterSet => "parameter_set",
            TsErrorKind::Oversize => "oversize",
        }
    }
}

// === impl ErrorCounts ===

impl ErrorCounts {
    /// Adds one of `kind`.
    pub fn count(&mut self, kind: TsErrorKind) {
        self.add(kind, 1);
    }

    pub(crate) fn add(&mut self, kind: TsErrorKind, n: u64) {
        self.counts[kind as usize] += n;
    }

    /// How many of `kind`.
    pub fn get(&self, kind: TsErrorKind) -> u64 {
        self.counts[kind as usize]
    }

    /// How many of all kinds.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Kinds with their counts, zeros included.
    pub fn iter(&self) -> impl Iterator<Item = (TsErrorKind, u64)> + '_ {
        TsErrorKind::ALL
            .into_iter()
            .map(|kind| (kind, self.get(kind)))
    }

    /// What was added since `earlier`, a copy of these counts taken before.
    pub fn since(&self, earlier: &ErrorCounts) -> ErrorCounts {
        let mut counts = self.counts;
        for (count, earlier) in counts.iter_mut().zip(earlier.counts) {
            *count = count.saturating_sub(earlier);
        }
        ErrorCounts { counts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_in_declaration_order_and_labels_differ() {
        let mut labels: Vec<_> = TsErrorKind::ALL.iter().map(|kind| kind.label()).collect();
        for (i, kind) in TsErrorKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, i);
        }
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), TsErrorKind::ALL.len());
    }

    #[test]
    fn since_gives_the_difference() {
        let mut counts = ErrorCounts::default();
        counts.count(TsErrorKind::Continuity);
        let earlier = counts;
        counts.count(TsErrorKind::Continuity);
        counts.count(TsErrorKind::PsiCrc);
        let new = counts.since(&earlier);
        assert_eq!(new.get(TsErrorKind::Continuity), 1);
        assert_eq!(new.total(), 2);
        assert_eq!(counts.iter().filter(|(_, n)| *n > 0).count(), 2);
    }
}
