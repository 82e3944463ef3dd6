//! Memory for whole blocks, in large pages: the program's allocator.
//!
//! What is as large as a block comes out of slabs of 2 MiB, each of which the kernel is asked to back with a
//! single page. A copy touches every byte of its blocks several times over, once in the cache and often not, and
//! with pages of 4 KiB a tenth of its time goes into finding them, more in a virtual machine, where each miss of
//! the TLB walks two tables. All else, and that is every other allocation, is the system allocator's.
//!
//! Not a pool: nothing here knows who uses a piece, and no buffer is kept for anybody.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::{self, NonNull};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes of a slab, aligned to as many: a large page of x86-64, and of aarch64 with pages of 4 KiB.
const SLAB: usize = 2 << 20;

/// Bytes at the beginning of a slab that tell of its pieces.
const HEADER: usize = 4096;

/// Pieces of a slab.
const PIECES: usize = 7;

/// Bytes of a piece: those of a block of 256 KiB, and more, as its last symbol is filled up.
const PIECE: usize = (SLAB - HEADER) / PIECES;

/// The smallest allocation that gets a piece: a block, or as much of the receive ring.
const BLOCK: usize = 256 * 1024;

/// The largest alignment of an allocation that gets a piece.
const PIECE_ALIGN: usize = 4096;

/// A slab without a piece in use.
const ALL_FREE: u8 = (1 << PIECES) - 1;

/// Slabs without a piece in use that are kept for what comes next: 32 MiB. Others go back to the kernel.
const IDLE_MAX: usize = 16;

const _: () = {
    assert!(HEADER + PIECES * PIECE == SLAB && PIECE.is_multiple_of(PIECE_ALIGN));
    assert!(size_of::<Slab>() <= HEADER && PIECES < u8::BITS as usize);
};

/// An allocator that gives blocks memory in large pages (`MADV_HUGEPAGE` of madvise(2)), where the kernel has
/// any.
///
/// To be made the allocator of a program:
///
/// ```
/// use grappe_os::memory::LargePages;
///
/// #[global_allocator]
/// static MEMORY: LargePages = LargePages::new();
///
/// let block = vec![7_u8; 256 * 1024];
/// assert_eq!(block.iter().map(|&byte| u64::from(byte)).sum::<u64>(), 7 * 256 * 1024);
/// ```
#[derive(Debug)]
pub struct LargePages {
    slabs: Mutex<Slabs>,
}

/// The slabs that have a free piece.
#[derive(Debug)]
struct Slabs {
    /// The one in which a piece was freed last: its memory is the likeliest to be in a cache.
    first: *mut Slab,
    /// Those of them with no piece in use.
    idle: usize,
}

/// What stands at the beginning of a slab.
struct Slab {
    /// Its neighbours among those with a free piece, while it is one of them.
    previous: *mut Self,
    next: *mut Self,
    /// A bit for each free piece.
    free: u8,
}

#[expect(
    unsafe_code,
    reason = "the slabs are plain memory, which belongs to no thread"
)]
// SAFETY: nothing of the slabs is bound to the thread that mapped them.
unsafe impl Send for Slabs {}

impl LargePages {
    /// An allocator that has no memory yet.
    #[expect(
        clippy::new_without_default,
        reason = "there is to be one, in a static, which wants a constant"
    )]
    pub const fn new() -> Self {
        Self {
            slabs: Mutex::new(Slabs {
                first: ptr::null_mut(),
                idle: 0,
            }),
        }
    }

    fn slabs(&self) -> MutexGuard<'_, Slabs> {
        self.slabs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether what is laid out so gets a piece of a slab.
const fn is_block(size: usize, align: usize) -> bool {
    size >= BLOCK && size <= PIECE && align <= PIECE_ALIGN
}

#[expect(unsafe_code, reason = "it is an allocator")]
// SAFETY: a piece is given to one owner at a time, is as long and as aligned as `is_block` lets it be asked for, and
// stays mapped while it is in use. Which allocator owns an allocation depends on its layout alone, which its owner
// has to repeat. Nothing here allocates or panics.
unsafe impl GlobalAlloc for LargePages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_block(layout.size(), layout.align()) {
            return self.slabs().take().map_or(ptr::null_mut(), NonNull::as_ptr);
        }
        // SAFETY: passed on as it came.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !is_block(layout.size(), layout.align()) {
            // SAFETY: passed on as it came.
            return unsafe { System.alloc_zeroed(layout) };
        }
        // SAFETY: the layout is the caller's.
        let piece = unsafe { self.alloc(layout) };
        if !piece.is_null() {
            // SAFETY: the piece is at least that long, and nobody else's.
            unsafe { piece.write_bytes(0, layout.size()) };
        }
        piece
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        if is_block(layout.size(), layout.align()) {
            // SAFETY: with this layout it was `take` that gave it.
            unsafe { self.slabs().put_back(memory) };
        } else {
            // SAFETY: passed on as it came; with this layout `System` gave it.
            unsafe { System.dealloc(memory, layout) };
        }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let align = layout.align();
        match (is_block(layout.size(), align), is_block(size, align)) {
            // Every piece is as long as the longest block.
            (true, true) => memory,
            // SAFETY: passed on as it came; with this layout `System` gave it.
            (false, false) => unsafe { System.realloc(memory, layout, size) },
            _ => {
                // SAFETY: the caller vouches for the size; the alignment is that of a layout.
                let new = unsafe { Layout::from_size_align_unchecked(size, align) };
                // SAFETY: the new layout is no emptier than the caller's size, which is not zero.
                let moved = unsafe { self.alloc(new) };
                if !moved.is_null() {
                    let both = layout.size().min(size);
                    // SAFETY: both are at least that long, and they are two allocations.
                    unsafe { ptr::copy_nonoverlapping(memory, moved, both) };
                    // SAFETY: the caller gives the old one up.
                    unsafe { self.dealloc(memory, layout) };
                }
                moved
            }
        }
    }
}

#[expect(unsafe_code, reason = "keeps its lists in the memory it gives away")]
impl Slabs {
    /// A piece that nobody uses; `None` when the kernel has no memory.
    fn take(&mut self) -> Option<NonNull<u8>> {
        if self.first.is_null() {
            let slab = map()?;
            self.idle += 1;
            // SAFETY: the slab is mapped, and in no list.
            unsafe { self.list(slab) };
        }
        let slab = self.first;
        // SAFETY: slabs in the list are mapped, and this lock is the only way to their headers.
        let header = unsafe { &mut *slab };
        if header.free == ALL_FREE {
            self.idle -= 1;
        }
        let number = header.free.trailing_zeros() as usize;
        header.free &= header.free - 1;
        if header.free == 0 {
            // SAFETY: it is the first of the list.
            unsafe { self.unlist(slab) };
        }
        // SAFETY: a slab in the list has a free piece, whose number is below PIECES.
        NonNull::new(unsafe { slab.byte_add(HEADER + number * PIECE) }.cast())
    }

    /// Takes a piece back.
    ///
    /// # Safety
    ///
    /// `piece` came from [`Self::take`], and is not used any more.
    unsafe fn put_back(&mut self, piece: *mut u8) {
        let slab: *mut Slab = piece.map_addr(|address| address & !(SLAB - 1)).cast();
        let number = (piece.addr() - slab.addr() - HEADER) / PIECE;
        // SAFETY: slabs with a piece in use are mapped, and this lock is the only way to their headers.
        let free = unsafe { (*slab).free };
        if free != 0 {
            // SAFETY: it has a free piece, so it is in the list.
            unsafe { self.unlist(slab) };
        }
        let free = free | 1 << number;
        if free == ALL_FREE {
            if self.idle == IDLE_MAX {
                // SAFETY: no piece of it is in use, and it is in no list.
                unsafe { unmap(slab) };
                return;
            }
            self.idle += 1;
        }
        // SAFETY: as above; it is in no list by now.
        unsafe {
            (*slab).free = free;
            self.list(slab);
        }
    }

    /// Puts `slab` first in the list.
    ///
    /// # Safety
    ///
    /// It is mapped, and not in the list.
    unsafe fn list(&mut self, slab: *mut Slab) {
        let next = self.first;
        // SAFETY: it is mapped, as are all in the list.
        unsafe {
            (*slab).previous = ptr::null_mut();
            (*slab).next = next;
            if let Some(next) = next.as_mut() {
                next.previous = slab;
            }
        }
        self.first = slab;
    }

    /// Takes `slab` out of the list.
    ///
    /// # Safety
    ///
    /// It is in the list.
    unsafe fn unlist(&mut self, slab: *mut Slab) {
        // SAFETY: all in the list are mapped.
        unsafe {
            let (previous, next) = ((*slab).previous, (*slab).next);
            match previous.as_mut() {
                Some(previous) => previous.next = next,
                None => self.first = next,
            }
            if let Some(next) = next.as_mut() {
                next.previous = previous;
            }
        }
    }
}

/// A slab of which nothing is in use; `None` when the kernel has no memory.
#[expect(unsafe_code, reason = "calls mmap, and writes to what it gave")]
fn map() -> Option<*mut Slab> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // Twice as much holds an aligned slab, wherever it begins.
    // SAFETY: a new mapping touches no memory of anybody.
    let begin = unsafe { libc::mmap(ptr::null_mut(), 2 * SLAB, access, kind, -1, 0) };
    if begin == libc::MAP_FAILED {
        return None;
    }
    let before = begin.addr().next_multiple_of(SLAB) - begin.addr();
    // SAFETY: all of this is within the new mapping, of which what lies around the slab is given back. Where that
    // fails it stays mapped, untouched. The advice may fail as well: then the pages are small.
    unsafe {
        let slab = begin.byte_add(before);
        if before > 0 {
            libc::munmap(begin, before);
        }
        libc::munmap(slab.byte_add(SLAB), SLAB - before);
        libc::madvise(slab, SLAB, libc::MADV_HUGEPAGE);
        let slab = slab.cast::<Slab>();
        slab.write(Slab {
            previous: ptr::null_mut(),
            next: ptr::null_mut(),
            free: ALL_FREE,
        });
        Some(slab)
    }
}

/// Gives `slab` back to the kernel.
///
/// # Safety
///
/// [`map`] made it, none of its pieces is in use, and no list has it.
#[expect(unsafe_code, reason = "calls munmap")]
unsafe fn unmap(slab: *mut Slab) {
    // SAFETY: nobody has a use for it, by this function's contract.
    unsafe { libc::munmap(slab.cast(), SLAB) };
}

#[cfg(test)]
#[expect(unsafe_code, reason = "an allocator has unsafe doors only")]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::thread;

    /// What is allocated, and the byte that fills it.
    struct Held {
        memory: *mut u8,
        layout: Layout,
        fill: u8,
    }

    impl Held {
        fn new(allocator: &LargePages, size: usize, align: usize, fill: u8) -> Self {
            let layout = Layout::from_size_align(size, align).unwrap();
            // SAFETY: the layout is not empty.
            let memory = unsafe { allocator.alloc(layout) };
            assert!(!memory.is_null() && memory.addr().is_multiple_of(align));
            let held = Self {
                memory,
                layout,
                fill,
            };
            held.fill();
            held
        }

        fn fill(&self) {
            // SAFETY: it is as long as its layout.
            unsafe { self.memory.write_bytes(self.fill, self.layout.size()) };
        }

        fn check(&self, len: usize) {
            // SAFETY: it is at least so long, and filled.
            let bytes = unsafe { std::slice::from_raw_parts(self.memory, len) };
            assert!(bytes.iter().all(|&byte| byte == self.fill));
        }

        fn resize(&mut self, allocator: &LargePages, size: usize) {
            // SAFETY: it is this allocator's, with this layout.
            let memory = unsafe { allocator.realloc(self.memory, self.layout, size) };
            assert!(!memory.is_null());
            let kept = self.layout.size().min(size);
            self.memory = memory;
            self.layout = Layout::from_size_align(size, self.layout.align()).unwrap();
            self.check(kept);
            self.fill();
        }

        fn free(self, allocator: &LargePages) {
            self.check(self.layout.size());
            // SAFETY: it is this allocator's, with this layout.
            unsafe { allocator.dealloc(self.memory, self.layout) };
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Take(usize, usize),
        Resize(usize, usize),
        Free(usize),
    }

    fn size() -> impl Strategy<Value = usize> {
        const EDGES: [usize; 7] = [1, BLOCK - 1, BLOCK, BLOCK + 95, PIECE, PIECE + 1, SLAB];
        prop_oneof![1 => proptest::sample::select(&EDGES[..]), 3 => BLOCK..=PIECE]
    }

    fn step() -> impl Strategy<Value = Step> {
        let align = proptest::sample::select(&[1, 8, PIECE_ALIGN, 2 * PIECE_ALIGN][..]);
        prop_oneof![
            4 => (size(), align).prop_map(|(size, align)| Step::Take(size, align)),
            1 => (any::<usize>(), size()).prop_map(|(which, size)| Step::Resize(which, size)),
            3 => any::<usize>().prop_map(Step::Free),
        ]
    }

    /// The slabs in the list, and those of them without a piece in use.
    fn listed(allocator: &LargePages) -> (usize, usize) {
        let slabs = allocator.slabs();
        let (mut slab, mut before, mut counts) = (slabs.first, ptr::null_mut(), (0, 0));
        // SAFETY: all in the list are mapped, and the lock is held.
        while let Some(header) = unsafe { slab.as_ref() } {
            assert_eq!(header.previous, before);
            assert_ne!(header.free, 0);
            counts.0 += 1;
            counts.1 += usize::from(header.free == ALL_FREE);
            (before, slab) = (slab, header.next);
        }
        assert_eq!(counts.1, slabs.idle);
        counts
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn nothing_is_given_twice(steps in vec(step(), 1..200)) {
            let allocator = LargePages::new();
            let mut held: Vec<Held> = Vec::new();
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Take(size, align) => {
                        held.push(Held::new(&allocator, size, align, number as u8));
                    }
                    Step::Resize(which, size) if !held.is_empty() => {
                        let which = which % held.len();
                        held[which].resize(&allocator, size);
                    }
                    Step::Free(which) if !held.is_empty() => {
                        held.swap_remove(which % held.len()).free(&allocator);
                    }
                    _ => {}
                }
                listed(&allocator);
            }
            // Each finds its bytes as it left them.
            held.into_iter().for_each(|held| held.free(&allocator));
            let (slabs, idle) = listed(&allocator);
            prop_assert!(slabs == idle && idle <= IDLE_MAX);
        }
    }

    #[test]
    fn what_nobody_needs_goes_back() {
        let allocator = LargePages::new();
        let slabs = IDLE_MAX + 5;
        let blocks: Vec<Held> = (0..slabs * PIECES)
            .map(|number| Held::new(&allocator, BLOCK, 1, number as u8))
            .collect();
        assert_eq!(listed(&allocator), (0, 0), "all pieces of all are in use");
        blocks.into_iter().for_each(|block| block.free(&allocator));
        assert_eq!(listed(&allocator), (IDLE_MAX, IDLE_MAX));
    }

    #[test]
    fn the_piece_freed_last_is_the_next_given() {
        let allocator = LargePages::new();
        let blocks: Vec<Held> = (0..3 * PIECES)
            .map(|_| Held::new(&allocator, BLOCK, 1, 1))
            .collect();
        for block in blocks {
            let freed = block.memory;
            block.free(&allocator);
            let next = Held::new(&allocator, PIECE, 1, 2);
            assert_eq!(next.memory, freed);
        }
    }

    #[test]
    fn zeros_are_zeros_where_something_was() {
        let allocator = LargePages::new();
        Held::new(&allocator, PIECE, 1, 0xff).free(&allocator);
        let layout = Layout::from_size_align(BLOCK, 1).unwrap();
        // SAFETY: the layout is not empty.
        let memory = unsafe { allocator.alloc_zeroed(layout) };
        let block = Held {
            memory,
            layout,
            fill: 0,
        };
        block.free(&allocator);
    }

    #[test]
    fn threads_get_memory_of_their_own() {
        let allocator = LargePages::new();
        thread::scope(|scope| {
            for thread in 0..4_u8 {
                let allocator = &allocator;
                scope.spawn(move || {
                    let mut held = Vec::new();
                    for round in 0..200 {
                        held.push(Held::new(allocator, BLOCK + round, 1, thread));
                        if held.len() > 9 {
                            held.swap_remove(round % 9).free(allocator);
                        }
                    }
                    held.into_iter().for_each(|held| held.free(allocator));
                });
            }
        });
        listed(&allocator);
    }

    /// Whether the kernel has a large page for it is the kernel's to say; that it was asked can be seen.
    #[test]
    fn the_kernel_is_asked_for_large_pages() {
        if !std::path::Path::new("/sys/kernel/mm/transparent_hugepage").exists() {
            eprintln!("skipped: this kernel has no large pages (CONFIG_TRANSPARENT_HUGEPAGE)");
            return;
        }
        let allocator = LargePages::new();
        let block = Held::new(&allocator, BLOCK, 1, 1);
        // Of proc_pid_smaps(5): each mapping with its flags, `hg` for the advice.
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut holds_block = false;
        let flags = maps.lines().find_map(|line| {
            let range = line
                .split_once(' ')
                .and_then(|(range, _)| range.split_once('-'));
            if let Some((from, to)) = range
                && let (Ok(from), Ok(to)) = (
                    usize::from_str_radix(from, 16),
                    usize::from_str_radix(to, 16),
                )
            {
                holds_block = (from..to).contains(&block.memory.addr());
            }
            line.strip_prefix("VmFlags:").filter(|_| holds_block)
        });
        assert!(flags.unwrap().split_whitespace().any(|flag| flag == "hg"));
        block.free(&allocator);
    }
}
