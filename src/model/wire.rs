//! Bytes of our own records: little-endian fixed numbers, LEB128 varints, zigzag for signed ones, length-prefixed text.

/// What we read back is not what we wrote: the log is damaged, or another version wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("damaged {what} at byte {at}")]
pub struct Damaged {
    pub what: &'static str,
    pub at: usize,
}

#[derive(Debug, Default)]
pub struct Writer {
    pub bytes: Vec<u8>,
}

impl Writer {
    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub fn u128(&mut self, value: u128) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub fn f64(&mut self, value: f64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    pub fn zigzag(&mut self, value: i64) {
        self.varint(((value << 1) ^ (value >> 63)) as u64);
    }

    /// Signed 128-bit: sums. Seven bits a byte, like [`Writer::varint`].
    pub fn zigzag128(&mut self, value: i128) {
        let mut rest = ((value << 1) ^ (value >> 127)) as u128;
        while rest >= 0x80 {
            self.bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.bytes.push(rest as u8);
    }

    pub fn blob(&mut self, bytes: &[u8]) {
        self.varint(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    /// `None` as 0, else one more than the value.
    pub fn option(&mut self, value: Option<u64>) {
        self.varint(value.map_or(0, |value| value + 1));
    }
}

#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    what: &'static str,
}

impl<'a> Reader<'a> {
    /// `what` is named when the bytes are damaged.
    pub fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Reader { bytes, at: 0, what }
    }

    pub fn position(&self) -> usize {
        self.at
    }

    pub fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    pub fn damaged(&self) -> Damaged {
        Damaged { what: self.what, at: self.at }
    }

    pub fn take(&mut self, len: usize) -> Result<&'a [u8], Damaged> {
        let end = self.at.checked_add(len).filter(|&end| end <= self.bytes.len());
        let end = end.ok_or_else(|| self.damaged())?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        Ok(self.take(N)?.try_into().expect("taken to length"))
    }

    pub fn u8(&mut self) -> Result<u8, Damaged> {
        Ok(self.array::<1>()?[0])
    }

    pub fn u64(&mut self) -> Result<u64, Damaged> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub fn u128(&mut self) -> Result<u128, Damaged> {
        Ok(u128::from_le_bytes(self.array()?))
    }

    pub fn f64(&mut self) -> Result<f64, Damaged> {
        Ok(f64::from_le_bytes(self.array()?))
    }

    #[inline]
    pub fn varint(&mut self) -> Result<u64, Damaged> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.damaged())
    }

    pub fn zigzag(&mut self) -> Result<i64, Damaged> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    pub fn zigzag128(&mut self) -> Result<i128, Damaged> {
        let mut value = 0u128;
        for shift in (0..128).step_by(7) {
            let byte = self.u8()?;
            value |= u128::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok((value >> 1) as i128 ^ -((value & 1) as i128));
            }
        }
        Err(self.damaged())
    }

    pub fn blob(&mut self) -> Result<&'a [u8], Damaged> {
        let len = self.varint()?;
        self.take(usize::try_from(len).map_err(|_| self.damaged())?)
    }

    pub fn text(&mut self) -> Result<&'a str, Damaged> {
        let blob = self.blob()?;
        std::str::from_utf8(blob).map_err(|_| self.damaged())
    }

    pub fn option(&mut self) -> Result<Option<u64>, Damaged> {
        Ok(self.varint()?.checked_sub(1))
    }

    /// A count of things that take at least one byte each: bounded by what is left, so that
    /// damaged bytes cannot ask for memory.
    pub fn count(&mut self) -> Result<usize, Damaged> {
        let count = self.varint()?;
        let left = self.bytes.len() - self.at;
        usize::try_from(count).ok().filter(|&count| count <= left).ok_or_else(|| self.damaged())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back(a: u64, b: i64, c: i128, d: u128, e: Option<u32>) {
            let mut writer = Writer::default();
            writer.varint(a);
            writer.zigzag(b);
            writer.zigzag128(c);
            writer.u128(d);
            writer.option(e.map(u64::from));

            let mut reader = Reader::new(&writer.bytes, "test");
            prop_assert_eq!(reader.varint(), Ok(a));
            prop_assert_eq!(reader.zigzag(), Ok(b));
            prop_assert_eq!(reader.zigzag128(), Ok(c));
            prop_assert_eq!(reader.u128(), Ok(d));
            prop_assert_eq!(reader.option(), Ok(e.map(u64::from)));
            prop_assert!(reader.is_at_end());
        }

        #[test]
        fn any_bytes_are_answered(bytes: Vec<u8>) {
            let mut reader = Reader::new(&bytes, "test");
            let _ = reader.clone().varint();
            let _ = reader.clone().zigzag128();
            let _ = reader.clone().count();
            let _ = reader.blob();
        }
    }
}
