//! The audit chain: each entry is bound to all before it by `h(n) = SHA-256(h(n-1) || entry)`.
//!
//! In come entries in order, or a stored chain and the head that it must have; out go links, or the first
//! place at which the chain is not whole (H9). An edited, missing, added or moved entry breaks the chain
//! where it stands. A cut tail and a chain that was written anew as a whole are whole by themselves: they
//! are found only against a head that was kept elsewhere, which is why verification asks for one. Pure
//! functions; who stores, and who sends heads away, is elsewhere.

use std::fmt;

use sha2::{Digest, Sha256};

/// The hash of an entry and of all before it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChainHash(pub [u8; 32]);

/// A chain up to some entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// How many entries it has.
    pub count: u64,
    /// The hash of the last one.
    pub hash: ChainHash,
}

/// An entry in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its place, from 1.
    pub number: u64,
    /// What it says.
    pub entry: Vec<u8>,
    /// The hash up to and with it.
    pub hash: ChainHash,
}

/// Where a chain is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A place is missing, taken twice, or out of order.
    #[error("entry {found} stands where entry {expected} should stand")]
    Place {
        /// The place that comes next.
        expected: u64,
        /// The place that the entry bears.
        found: u64,
    },
    /// The entry, or one before it whose hash was written anew, is not what was chained.
    #[error("entry {0} is not the one that was chained")]
    Changed(u64),
    /// Entries are missing at the end.
    #[error("the chain ends after {found} entries and had {expected}")]
    CutShort {
        /// How many there were.
        expected: u64,
        /// How many there are.
        found: u64,
    },
    /// The chain is whole by itself, but is another one.
    #[error("the chain is another one from entry {0} at the latest")]
    Rewritten(u64),
}

impl Head {
    /// The chain without entries.
    pub const EMPTY: Head = Head { count: 0, hash: ChainHash([0; 32]) };

    /// The chain with `entry` as its last.
    pub fn append(self, entry: Vec<u8>) -> Link {
        let hash = self.hash.with(&entry);
        Link { number: self.count.saturating_add(1), entry, hash }
    }
}

impl Link {
    /// The chain up to and with this entry.
    pub fn head(&self) -> Head {
        Head { count: self.number, hash: self.hash }
    }
}

impl ChainHash {
    /// The previous hash has a fixed length, so no two pairs of hash and entry are hashed as the same bytes.
    fn with(self, entry: &[u8]) -> ChainHash {
        ChainHash(Sha256::new().chain_update(self.0).chain_update(entry).finalize().into())
    }
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Verifies the entries after `from`, which is trusted, against a head that was kept elsewhere. Entries
/// after that head must be whole too. Returns the head of all.
pub fn verify<'a>(from: Head, links: impl IntoIterator<Item = &'a Link>, expected: Head) -> Result<Head, Broken> {
    let mut head = from;
    check_passed(head, expected)?;
    for link in links {
        let next = head.count.saturating_add(1);
        if link.number != next {
            return Err(Broken::Place { expected: next, found: link.number });
        }
        if link.hash != head.hash.with(&link.entry) {
            return Err(Broken::Changed(link.number));
        }
        head = link.head();
        check_passed(head, expected)?;
    }
    if head.count < expected.count {
        return Err(Broken::CutShort { expected: expected.count, found: head.count });
    }
    Ok(head)
}

/// Where the chain has as many entries as the kept head, it must be that head.
fn check_passed(head: Head, expected: Head) -> Result<(), Broken> {
    if head.count == expected.count && head.hash != expected.hash {
        return Err(Broken::Rewritten(head.count));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chain(entries: &[Vec<u8>]) -> Vec<Link> {
        let mut head = Head::EMPTY;
        let mut links = Vec::new();
        for entry in entries {
            let link = head.append(entry.clone());
            head = link.head();
            links.push(link);
        }
        links
    }

    fn five() -> Vec<Link> {
        chain(&["a", "b", "c", "d", "e"].map(|entry| entry.as_bytes().to_vec()))
    }

    fn verify_five(links: &[Link]) -> Result<Head, Broken> {
        verify(Head::EMPTY, links, five()[4].head())
    }

    #[test]
    fn the_first_hashes_are_those_of_the_definition() {
        let link = Head::EMPTY.append(b"abc".to_vec());
        let expected: [u8; 32] = Sha256::digest([[0; 32].as_slice(), b"abc"].concat()).into();
        assert_eq!(link.hash, ChainHash(expected));
        let second = link.head().append(Vec::new());
        let expected: [u8; 32] = Sha256::digest(expected).into();
        assert_eq!((second.number, second.hash), (2, ChainHash(expected)));
    }

    #[test]
    fn a_whole_chain_is_whole_from_its_beginning_and_from_any_trusted_head() {
        let links = five();
        assert_eq!(verify_five(&links), Ok(links[4].head()));
        for start in 0..5 {
            assert_eq!(verify(links[start].head(), &links[start + 1..], links[4].head()), Ok(links[4].head()));
        }
        assert_eq!(verify(Head::EMPTY, &links, links[2].head()), Ok(links[4].head()));
        assert_eq!(verify(Head::EMPTY, &[], Head::EMPTY), Ok(Head::EMPTY));
    }

    #[test]
    fn an_edited_entry_is_found_where_it_stands() {
        let mut links = five();
        links[2].entry = b"C".to_vec();
        assert_eq!(verify_five(&links), Err(Broken::Changed(3)));
    }

    #[test]
    fn an_edited_entry_with_its_hash_written_anew_is_found_at_the_next() {
        let mut links = five();
        links[2] = links[1].head().append(b"C".to_vec());
        assert_eq!(verify_five(&links), Err(Broken::Changed(4)));
    }

    #[test]
    fn a_missing_a_moved_and_a_doubled_entry_are_found() {
        let mut missing = five();
        missing.remove(2);
        assert_eq!(verify_five(&missing), Err(Broken::Place { expected: 3, found: 4 }));
        let mut moved = five();
        moved.swap(1, 2);
        assert_eq!(verify_five(&moved), Err(Broken::Place { expected: 2, found: 3 }));
        moved[1].number = 2;
        moved[2].number = 3;
        assert_eq!(verify_five(&moved), Err(Broken::Changed(2)));
        let mut doubled = five();
        doubled.insert(2, doubled[1].clone());
        assert_eq!(verify_five(&doubled), Err(Broken::Place { expected: 3, found: 2 }));
    }

    #[test]
    fn a_cut_tail_and_a_chain_written_anew_are_found_by_the_head_that_was_kept() {
        let links = five();
        assert_eq!(verify_five(&links[..3]), Err(Broken::CutShort { expected: 5, found: 3 }));
        assert_eq!(verify_five(&[]), Err(Broken::CutShort { expected: 5, found: 0 }));
        let anew = chain(&["a", "b", "C", "d", "e"].map(|entry| entry.as_bytes().to_vec()));
        assert_eq!(verify_five(&anew), Err(Broken::Rewritten(5)));
        let other = Head { count: 0, hash: ChainHash([1; 32]) };
        assert_eq!(verify(Head::EMPTY, &[], other), Err(Broken::Rewritten(0)));
    }

    proptest! {
        #[test]
        fn any_single_change_to_a_chain_is_found(
            entries in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..6), 1..12),
            place in any::<proptest::sample::Index>(), other in any::<proptest::sample::Index>(),
            what in 0..7_u8, bit in 0..8_u8,
        ) {
            let links = chain(&entries);
            let kept = links[links.len() - 1].head();
            let at = place.index(links.len());
            let mut changed = links.clone();
            match what {
                0 => changed[at].hash.0[usize::from(bit)] ^= 1 << bit,
                1 => changed[at].entry.push(bit),
                2 => drop(changed.remove(at)),
                3 => changed.truncate(at),
                4 => changed.insert(at, changed[at].clone()),
                5 => changed.swap(at, other.index(links.len())),
                _ => {
                    let mut altered = entries.clone();
                    altered[at].push(bit);
                    changed = chain(&altered);
                }
            }
            let verdict = verify(Head::EMPTY, &changed, kept);
            prop_assert_eq!(verdict.is_ok(), changed == links, "{:?}", verdict);
        }
    }
}
