//! The EFI application: counts down on the console, then asks the firmware to reset the machine. No crate
//! but core, no allocation, no dependency. It is not part of the program: `oracle.rs` compiles it with
//! rustc for x86_64-unknown-uefi and compares with `app.efi`, which ships; `mod.rs` sets `CONFIG` in that.

#![no_std]
#![no_main]

use core::ptr;

type Status = usize;
type Handle = *mut ();

/// EFI_NOT_FOUND: the firmware goes on to the next boot option.
const NOT_FOUND: Status = (1 << 63) | 14;
/// The scan code of Esc.
const ESCAPE: u16 = 0x17;
/// EfiResetCold and EfiResetWarm.
const RESETS: [u32; 2] = [0, 1];

/// What the installer sets; the same layout is in `mod.rs`.
#[repr(C)]
struct Config {
    magic: [u8; 8],
    seconds: u16,
    jitter: u16,
    text: [u16; 48],
    crc32: u32,
}

#[used]
#[unsafe(link_section = ".config")]
static CONFIG: Config =
    Config { magic: *b"RbSeEFI1", seconds: 30, jitter: 0, text: [0; 48], crc32: 0 };

#[repr(C)]
struct SystemTable {
    header: [u64; 3],
    vendor: *const u16,
    revision: u32,
    input_handle: Handle,
    input: *const Input,
    output_handle: Handle,
    output: *const Output,
    error_handle: Handle,
    error: *const Output,
    runtime: *const RuntimeServices,
    boot: *const BootServices,
}

#[repr(C)]
struct Input {
    reset: extern "efiapi" fn(*const Input, bool) -> Status,
    read_key: extern "efiapi" fn(*const Input, *mut Key) -> Status,
}

#[repr(C)]
struct Key {
    scan: u16,
    letter: u16,
}

#[repr(C)]
struct Output {
    reset: extern "efiapi" fn(*const Output, bool) -> Status,
    print: extern "efiapi" fn(*const Output, *const u16) -> Status,
}

#[repr(C)]
struct BootServices {
    header: [u64; 3],
    others: [usize; 28],
    stall: extern "efiapi" fn(usize) -> Status,
    set_watchdog: extern "efiapi" fn(usize, u64, usize, *const u16) -> Status,
}

#[repr(C)]
struct RuntimeServices {
    header: [u64; 3],
    others: [usize; 10],
    reset: extern "efiapi" fn(u32, Status, usize, *const ()) -> (),
}

/// The entry of an EFI application (UEFI 2.10, 4.1).
#[unsafe(no_mangle)]
extern "efiapi" fn efi_main(_image: Handle, table: *const SystemTable) -> Status {
    // SAFETY: the firmware passes a table that is valid while boot services are, which this never ends;
    // the pointers in it are those of the specification. A console may be absent and its pointer null.
    let (input, output, boot, runtime) = unsafe {
        let table = &*table;
        (table.input.as_ref(), table.output.as_ref(), &*table.boot, &*table.runtime)
    };
    // SAFETY: a static of this program; volatile, as its bytes are set after it was compiled.
    let config = unsafe { ptr::read_volatile(&raw const CONFIG) };
    // Else the firmware resets after five minutes, which would cut a longer wait.
    (boot.set_watchdog)(0, 0, 0, ptr::null());
    if let Some(input) = input {
        (input.reset)(input, false);
    }
    let mut left = config.seconds;
    'count: while left > 0 {
        if let Some(output) = output {
            let mut line = [0; 64];
            write_line(&mut line, left, &config.text);
            (output.print)(output, line.as_ptr());
        }
        for _ in 0..10 {
            (boot.stall)(100_000);
            let mut key = Key { scan: 0, letter: 0 };
            if input.is_some_and(|input| (input.read_key)(input, &raw mut key) == 0) {
                if key.scan == ESCAPE {
                    return NOT_FOUND;
                }
                break 'count;
            }
        }
        left -= 1;
    }
    loop {
        for kind in RESETS {
            (runtime.reset)(kind, 0, 0, ptr::null());
            (boot.stall)(1_000_000);
        }
    }
}

/// A carriage return, the number, the text, a zero.
fn write_line(line: &mut [u16; 64], number: u16, text: &[u16; 48]) {
    let mut at = 0;
    let mut put = |letter: u16| {
        // The last place stays zero.
        if at < 63 {
            line[at] = letter;
            at += 1;
        }
    };
    put(13);
    let mut divisor = 10_000;
    while divisor > 0 {
        if number >= divisor || divisor == 1 {
            put(u16::from(b'0') + number / divisor % 10);
        }
        divisor /= 10;
    }
    text.iter().take_while(|letter| **letter != 0).for_each(|letter| put(*letter));
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
