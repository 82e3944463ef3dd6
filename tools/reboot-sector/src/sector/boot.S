# The boot sector: waits, then resets the machine, by one way after the other, for ever.
#
# AT&T syntax: LLVM takes the real-mode far jump in no other. The BIOS loads these bytes to 0x7c00 in
# real mode and promises little else. Fixed places, shared with layout.rs:
#
#   0x000  jump over the BPB       0x05a  code             0x1a4  CRC-32 of all before, by the installer
#   0x003  zero (BPB fields)       0x16a  settings         0x1a8  (424) end
#   0x02a  text, ends with CR      0x178  chain

        .equ    BASE, 0x7c00            # where the BIOS puts the sector
        .equ    TEXT, 0x2a
        .equ    CODE, 0x5a
        .equ    SETTINGS, 0x16a
        .equ    CHAIN, 0x178
        .equ    CHECKSUM, 0x1a4
        .equ    seconds, BASE + SETTINGS + 5
        .equ    soft_tries, BASE + SETTINGS + 9
        .equ    divisor, BASE + SETTINGS + 10
        .equ    serial_base, BASE + SETTINGS + 12

        .equ    ticks, 0x46c            # BIOS data area: timer, 18.2 turns a second
        .equ    key_head, 0x41a         # BIOS data area: keys not yet read
        .equ    key_tail, 0x41c
        .equ    cold_flag, 0x472        # BIOS data area: 0 = POST in full
        .equ    soft_count, 0x4f0       # BIOS data area: 16 bytes for programs; INT 19h leaves them
        .equ    SOFT_MARK, 0xb5         # says that soft_count is ours

start:  jmp     code                    # byte 0 must not be 0: parted would replace all of this
        nop
        .org    start_offset + TEXT
        .ascii  " s to reset; any key: now, Esc: next device "
        .byte   13
        .org    start_offset + CODE

# Nothing is known but CS:IP, and even CS may be 0x07c0.
code:   cli
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %ss
        movw    $BASE, %sp
        cld
        ljmp    $0, $(BASE + normal - start)
normal: sti                             # the timer and the keyboard want interrupts
        movw    key_tail, %ax           # forget the keys pressed during POST
        movw    %ax, key_head

        movw    serial_base, %dx        # 0: no serial line
        testw   %dx, %dx
        jz      count
        addw    $3, %dx                 # line control: divisor to be written
        movb    $0x83, %al
        outb    %al, %dx
        subw    $3, %dx
        movw    divisor, %ax
        outw    %ax, %dx                # both bytes of the divisor
        addw    $3, %dx                 # line control: 8N1
        movb    $0x03, %al
        outb    %al, %dx

# One turn a second: "30 s to reset; ...", then return to the start of the line.
count:  xorw    %di, %di                # polls left for this tick; 0 is 65536
        movw    seconds, %bp            # 1 at least
second: movw    %bp, %ax
        movw    $10, %bx
        xorw    %cx, %cx
digit:  xorw    %dx, %dx
        divw    %bx
        pushw   %dx
        incw    %cx
        testw   %ax, %ax
        jnz     digit
number: popw    %ax
        addb    $'0', %al
        call    put
        loop    number
        movw    $(BASE + TEXT), %si
letter: lodsb
        call    put
        cmpb    $13, %al
        jne     letter

        movb    $18, %cl                # 18.25 ticks a second
        testw   $3, %bp
        jnz     tick
        incw    %cx
tick:   movb    ticks, %dl
poll:   movb    $1, %ah
        int     $0x16
        jnz     key
        inb     $0x80, %al              # about a microsecond
        decw    %di
        jz      dead
        cmpb    ticks, %dl
        je      poll
        xorw    %di, %di
turned: loop    tick
        decw    %bp
        jnz     second

# Soft tries: the boot order from its top, without a reset.
        movw    soft_count, %ax
        cmpb    $SOFT_MARK, %ah
        je      marked
        movw    $(SOFT_MARK << 8), %ax
marked: cmpb    soft_tries, %al
        jae     chain
        incw    %ax
        movw    %ax, soft_count
        int     $0x19

# The chain: records of four bytes, a pause of 65536 port reads (65 ms at least) before each.
#   port, bits to keep, bits to set     for a port other than 0
#   0, address                          to go on there: triple, jump, or chain again
chain:  cli
        movw    $(BASE + CHAIN), %si
next:   xorw    %cx, %cx
pause:  inb     $0x80, %al
        loop    pause
        lodsw
        xchgw   %ax, %dx
        lodsw
        xchgw   %ax, %cx
        testw   %dx, %dx
        jnz     poke
        jmp     *%cx
poke:   inb     %dx, %al
        andb    %cl, %al
        orb     %ch, %al
        outb    %al, %dx
        jmp     next

# An interrupt without room for its vector, twice: the processor shuts down, the board resets it.
# Where real mode is emulated INT 3 may come back instead, so the table is put back.
triple: lidtw   BASE + no_vectors - start
        int3
        lidtw   BASE + vectors - start
        jmp     next
vectors:        .word   0x3ff           # limit of the real-mode table; its base is the next 4 bytes
no_vectors:     .word   0, 0, 0         # limit 0, base 0: a real zero descriptor

# As after power-on. Last: a bad BIOS may hang in it.
jump:   xorw    %ax, %ax
        movw    %ax, cold_flag
        movb    $0x0f, %al              # CMOS shutdown code 0: no resume
        outb    %al, $0x70
        movb    %ah, %al
        outb    %al, $0x71
        ljmp    $0xf000, $0xfff0

key:    xorb    %ah, %ah
        int     $0x16
        cmpb    $27, %al
        jne     chain
        int     $0x18                   # the next device
        jmp     chain

dead:   movw    $0x1000, %di            # a dead timer: a tick is a count of polls, from now on a small one
        jmp     turned

# Prints AL on the screen and, where there is one, on the serial line. Keeps all registers.
put:    pusha
        pushw   %ax
        movb    $0x0e, %ah
        movw    $7, %bx
        int     $0x10
        popw    %bx
        movw    serial_base, %dx
        testw   %dx, %dx
        jz      done
        addw    $5, %dx                 # line status: room for a letter, or enough waited
        xorw    %cx, %cx
room:   inb     %dx, %al
        testb   $0x20, %al
        loopz   room
        subw    $5, %dx
        movb    %bl, %al
        outb    %al, %dx
done:   popa
        ret

end_of_code:
        .org    start_offset + SETTINGS
        .ascii  "RbSe"                  # magic
        .byte   1                       # version
        .word   30                      # seconds, jitter among them
        .word   0                       # jitter
        .byte   0                       # soft tries
        .word   1                       # serial divisor: 115200 baud
        .word   0                       # serial base, 0 = none
        .org    start_offset + CHAIN
        .word   0xcf9
        .byte   0xf1, 0x02
        .word   0xcf9
        .byte   0xf1, 0x06
        .word   0x64
        .byte   0x00, 0xfe
        .word   0x64
        .byte   0x00, 0xfe
        .word   0x92
        .byte   0xfe, 0x00
        .word   0x92
        .byte   0xfe, 0x01
        .word   0, BASE + triple - start
        .word   0, BASE + jump - start
        .word   0, BASE + chain - start
        .org    start_offset + CHECKSUM
        .long   0                       # filled in by the installer
        .org    start_offset + 424
