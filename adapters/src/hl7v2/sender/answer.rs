//! What a far system answered: MSA-1 and MSA-2 of its acknowledgement.
//!
//! In comes a frame; out comes its code and whose answer it is, with the tolerance of standards: padded or
//! empty MSA-2, LF for CR, small letters. Promised: nothing of its texts is kept (H10). Refused: what has no
//! MSA segment with a code of table 0008.

use bytes::Bytes;

/// Acknowledgement codes (HL7 table 0008).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    AA,
    AE,
    AR,
    CA,
    CE,
    CR,
}

/// An acknowledgement.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) code: Code,
    control_id: Bytes,
}

impl Answer {
    pub(super) fn read(frame: &Bytes) -> Option<Answer> {
        let lines = frame.split(|byte| matches!(*byte, b'\r' | b'\n'));
        let segment = lines.map(<[u8]>::trim_ascii).find(|line| line.starts_with(b"MSA"))?;
        let separator = segment.get(3)?;
        let mut fields = segment.split(|byte| byte == separator).skip(1);
        let code = match fields.next()?.trim_ascii().to_ascii_uppercase().as_slice() {
            b"AA" => Code::AA,
            b"AE" => Code::AE,
            b"AR" => Code::AR,
            b"CA" => Code::CA,
            b"CE" => Code::CE,
            b"CR" => Code::CR,
            _ => return None,
        };
        let control_id = fields.next().unwrap_or_default().trim_ascii();
        Some(Answer { code, control_id: frame.slice_ref(control_id) })
    }

    /// Whether this answers the message with this MSH-10. One message is in flight on a connection, so an
    /// answer that names none is for it.
    pub(super) fn is_for(&self, control_id: &[u8]) -> bool {
        self.control_id.is_empty() || self.control_id == control_id
    }

    /// In a few words, without patient data.
    pub(super) fn summary(&self) -> String {
        format!("answered {:?}", self.code)
    }
}
