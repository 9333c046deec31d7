/* start.c - applies the program's own relative relocations in their packed form, before the C library begins.
 *
 * A position-independent program holds a few thousand addresses that have to be moved to where the kernel put it:
 * tables of names, mostly. As plain relocations each takes 24 bytes of the file; packed (DT_RELR, gABI 4.3) they
 * take a bit. musl's start code knows the packed form from 1.2.4 on, and Debian 12 has 1.2.3. So the program is
 * entered here; what was applied is struck out, so that a later musl does not apply it again.
 *
 * Nothing has been set up yet: no global that holds an address, no stack guard, no call into another file.
 */
#include <elf.h>
#include <stdint.h>

#define TAG_RELR 36 /* musl 1.2.3's elf.h does not have the names */
#define TAG_RELRSZ 35

extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern Elf64_Dyn _DYNAMIC[] __attribute__((visibility("hidden")));

__asm__(".text\n"
        ".globl berth_start\n"
        ".hidden berth_start\n"
        ".type berth_start, @function\n"
        "berth_start:\n"
        "    endbr64\n"
        "    mov %rsp, %rbx\n"
        "    and $-16, %rsp\n"
        "    call berth_relocate\n"
        "    mov %rbx, %rsp\n"
        "    jmp _start\n");

void berth_relocate(void) __attribute__((used, visibility("hidden"), optimize("no-stack-protector")));

/* An even entry is an address that holds one to be moved; an odd one a bit for each of the 63 words behind it. */
void berth_relocate(void)
{
    uintptr_t base = (uintptr_t)__ehdr_start;
    const uint64_t *packed = 0;
    uint64_t size = 0;
    for (Elf64_Dyn *d = _DYNAMIC; d->d_tag != DT_NULL; d++) {
        if (d->d_tag == TAG_RELR)
            packed = (const uint64_t *)(base + d->d_un.d_ptr);
        if (d->d_tag == TAG_RELRSZ) {
            size = d->d_un.d_val;
            d->d_un.d_val = 0;
        }
    }
    uint64_t *next = 0;
    for (uint64_t i = 0; i < size / sizeof(*packed); i++) {
        uint64_t entry = packed[i];
        if (!(entry & 1)) {
            next = (uint64_t *)(base + entry);
            *next++ += base;
            continue;
        }
        for (unsigned bit = 1; bit < 64; bit++)
            if (entry >> bit & 1)
                next[bit - 1] += base;
        next += 63;
    }
}
