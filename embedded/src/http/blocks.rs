//! ClickHouse's native compressed blocks, as in `compress=1` and `decompress=1`.
//!
//! A block is 16 bytes of checksum (CityHash 1.0.2, high half first), one byte of method, the compressed size with
//! the nine bytes of this header, the raw size, and the data. Promises: a block whose checksum is wrong is refused,
//! and no more memory is taken than a block may hold.

use std::io::{self, Read};

/// No block holds more than this, raw or compressed; ClickHouse's own bound is 1 GiB, its blocks are 1 MiB.
const BLOCK_BYTES_MAX: usize = 256 << 20;

/// Raw bytes put into one block.
const BLOCK_BYTES: usize = 1 << 20;

const CHECKSUM_SIZE: usize = 16;
const HEADER_SIZE: usize = 9;

const METHOD_NONE: u8 = 0x02;
const METHOD_LZ4: u8 = 0x82;
const METHOD_ZSTD: u8 = 0x90;

/// Reads the raw bytes out of a sequence of blocks.
pub(crate) struct BlockReader<R> {
    source: R,
    block: Vec<u8>,
    at: usize,
}

impl<R: Read> BlockReader<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { source, block: Vec::new(), at: 0 }
    }

    /// Reads the next block; false at the end of the source.
    fn refill(&mut self) -> io::Result<bool> {
        let mut prefix = [0; CHECKSUM_SIZE + HEADER_SIZE];
        if !read_whole(&mut self.source, &mut prefix)? {
            return Ok(false);
        }
        let (checksum, header) = prefix.split_at(CHECKSUM_SIZE);
        let sizes = [&header[1..5], &header[5..9]]
            .map(|bytes| u32::from_le_bytes(bytes.try_into().expect("four bytes")) as usize);
        let [compressed_size, raw_size] = sizes;
        if !(HEADER_SIZE..=BLOCK_BYTES_MAX).contains(&compressed_size) || raw_size > BLOCK_BYTES_MAX {
            return Err(invalid("compressed block states an impossible size"));
        }
        let mut compressed = header.to_vec();
        compressed.resize(compressed_size, 0);
        self.source.read_exact(&mut compressed[HEADER_SIZE..])?;
        if checksum != hash(&compressed) {
            return Err(invalid("checksum of a compressed block does not match its data"));
        }
        self.block = decompress(header[0], &compressed[HEADER_SIZE..], raw_size)?;
        self.at = 0;
        Ok(true)
    }
}

impl<R: Read> Read for BlockReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.block.len() {
            if !self.refill()? {
                return Ok(0);
            }
        }
        let size = buffer.len().min(self.block.len() - self.at);
        buffer[..size].copy_from_slice(&self.block[self.at..self.at + size]);
        self.at += size;
        Ok(size)
    }
}

/// Writes bytes as LZ4 blocks.
pub(crate) fn write_blocks(raw: &[u8], out: &mut Vec<u8>) {
    for piece in raw.chunks(BLOCK_BYTES) {
        let start = out.len();
        out.resize(start + CHECKSUM_SIZE + HEADER_SIZE, 0);
        let packed = lz4_flex::block::compress(piece);
        out.extend_from_slice(&packed);
        let size = |bytes: usize| u32::try_from(bytes).expect("a block is far below 4 GiB").to_le_bytes();
        let header = &mut out[start + CHECKSUM_SIZE..];
        header[0] = METHOD_LZ4;
        header[1..5].copy_from_slice(&size(HEADER_SIZE + packed.len()));
        header[5..9].copy_from_slice(&size(piece.len()));
        let checksum = hash(&out[start + CHECKSUM_SIZE..]);
        out[start..start + CHECKSUM_SIZE].copy_from_slice(&checksum);
    }
}

fn decompress(method: u8, data: &[u8], raw_size: usize) -> io::Result<Vec<u8>> {
    let raw = match method {
        METHOD_NONE => data.to_vec(),
        METHOD_LZ4 => lz4_flex::block::decompress(data, raw_size)
            .map_err(|_| invalid("compressed block holds damaged lz4 data"))?,
        METHOD_ZSTD => zstd::bulk::decompress(data, raw_size)
            .map_err(|_| invalid("compressed block holds damaged zstd data"))?,
        _ => return Err(invalid("compressed block has an unknown method")),
    };
    if raw.len() != raw_size {
        return Err(invalid("compressed block does not hold the size it states"));
    }
    Ok(raw)
}

/// Fills `buffer`; false when the source ends right at its start.
fn read_whole(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    let mut at = 0;
    while at < buffer.len() {
        match source.read(&mut buffer[at..])? {
            0 if at == 0 => return Ok(false),
            0 => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "compressed block is cut off")),
            size => at += size,
        }
    }
    Ok(true)
}

fn hash(bytes: &[u8]) -> [u8; CHECKSUM_SIZE] {
    cityhash_rs::cityhash_102_128(bytes).rotate_left(64).to_le_bytes()
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpacked(blocks: &[u8]) -> io::Result<Vec<u8>> {
        let mut raw = Vec::new();
        BlockReader::new(blocks).read_to_end(&mut raw).map(|_| raw)
    }

    #[test]
    fn what_is_packed_comes_back_over_any_number_of_blocks() {
        for size in [0, 1, 1000, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES] {
            let raw: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            let mut blocks = Vec::new();
            write_blocks(&raw, &mut blocks);
            assert_eq!(unpacked(&blocks).unwrap(), raw, "{size} bytes");
        }
    }

    #[test]
    fn a_damaged_or_cut_block_is_refused() {
        let mut blocks = Vec::new();
        write_blocks(b"some bytes that are long enough to pack", &mut blocks);
        for at in 0..blocks.len() {
            let mut damaged = blocks.clone();
            damaged[at] ^= 1;
            assert!(unpacked(&damaged).is_err(), "byte {at}");
        }
        assert!(unpacked(&blocks[..blocks.len() - 1]).is_err());
        assert!(unpacked(&blocks[..10]).is_err());
    }

    #[test]
    fn blocks_of_every_method_are_read() {
        let raw = b"abcabcabcabcabcabc".repeat(10);
        for (method, data) in
            [(METHOD_NONE, raw.clone()), (METHOD_ZSTD, zstd::bulk::compress(&raw, 1).unwrap())]
        {
            let mut body = vec![method];
            body.extend((9 + data.len() as u32).to_le_bytes());
            body.extend((raw.len() as u32).to_le_bytes());
            body.extend(data);
            let mut block = hash(&body).to_vec();
            block.extend(body);
            assert_eq!(unpacked(&block).unwrap(), raw);
        }
    }

    #[test]
    fn an_impossible_size_takes_no_memory() {
        let mut block = vec![0; CHECKSUM_SIZE];
        block.push(METHOD_LZ4);
        block.extend(u32::MAX.to_le_bytes());
        block.extend(u32::MAX.to_le_bytes());
        assert_eq!(unpacked(&block).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
