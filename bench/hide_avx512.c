/* Hides AVX-512, AVX10 and AMX from a program, so that libraries without a switch for it take their
 * AVX2 code:
 *
 *     cc -O2 -shared -fPIC -o hide_avx512.so hide_avx512.c && LD_PRELOAD=./hide_avx512.so PROGRAM
 *
 * On Linux a process can make its CPUID instructions fault, if the processor supports it
 * (`cpuid_fault` in /proc/cpuinfo; arch_prctl(2), ARCH_SET_CPUID). The handler executes the
 * instruction for the program and clears bits of the answer. Ends with status 3 where that is not
 * possible. */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <cpuid.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define BIT(n) (1u << (n))
/* Intel's Software Developer's Manual, volume 2, CPUID, leaf 7. */
/* F DQ IFMA PF ER CD BW VL */
#define LEAF7_EBX \
    (BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31))
/* VBMI VBMI2 VNNI BITALG VPOPCNTDQ */
#define LEAF7_ECX (BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14))
/* 4VNNIW 4FMAPS VP2INTERSECT AMX FP16 AMX AMX */
#define LEAF7_EDX (BIT(2) | BIT(3) | BIT(8) | BIT(22) | BIT(23) | BIT(24) | BIT(25))
/* AVX512_BF16 AMX_FP16 */
#define LEAF7_1_EAX (BIT(5) | BIT(21))
/* AMX_COMPLEX AVX10 */
#define LEAF7_1_EDX (BIT(8) | BIT(19))

static long let_cpuid(unsigned long allowed) {
    return syscall(SYS_arch_prctl, ARCH_SET_CPUID, allowed);
}

static void answer(int number, siginfo_t *info, void *context) {
    (void)info;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    const uint8_t *code = (const uint8_t *)registers[REG_RIP];
    if (code[0] != 0x0f || code[1] != 0xa2) { /* another fault of the program */
        signal(number, SIG_DFL);
        return;
    }
    uint32_t leaf = (uint32_t)registers[REG_RAX], subleaf = (uint32_t)registers[REG_RCX];
    uint32_t a, b, c, d;
    let_cpuid(1);
    __cpuid_count(leaf, subleaf, a, b, c, d);
    let_cpuid(0);
    if (leaf == 7 && subleaf == 0) {
        b &= ~LEAF7_EBX;
        c &= ~LEAF7_ECX;
        d &= ~LEAF7_EDX;
    } else if (leaf == 7 && subleaf == 1) {
        a &= ~LEAF7_1_EAX;
        d &= ~LEAF7_1_EDX;
    }
    registers[REG_RAX] = a;
    registers[REG_RBX] = b;
    registers[REG_RCX] = c;
    registers[REG_RDX] = d;
    registers[REG_RIP] += 2;
}

__attribute__((constructor)) static void hide(void) {
    struct sigaction action = {.sa_sigaction = answer, .sa_flags = SA_SIGINFO | SA_NODEFER};
    static const char message[] =
        "this processor or kernel cannot hide instruction sets (no CPUID faulting)\n";
    if (sigaction(SIGSEGV, &action, 0) != 0 || let_cpuid(0) != 0) {
        if (write(2, message, sizeof message - 1) < 0) _exit(4);
        _exit(3);
    }
}
