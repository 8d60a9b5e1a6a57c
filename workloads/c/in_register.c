/* A function that has an object in a register, and nowhere else, while it waits. */

/* `masked` is the address with all bits turned: so it is not in memory as it is. Returns what read()
   does, once there is something to read from `file`. */
long wait_with(unsigned long masked, long file)
{
    char byte[16];
    long result;
    __asm__ volatile(
        "mov %[masked], %%r12\n\t"
        "not %%r12\n\t"
        "mov %[file], %%rdi\n\t"
        "lea %[byte], %%rsi\n\t"
        "mov $1, %%edx\n\t"
        "xor %%eax, %%eax\n\t" /* SYS_read */
        "syscall\n\t"
        "xor %%r12d, %%r12d\n\t"
        : "=a"(result), [byte] "=m"(byte)
        : [masked] "r"(masked), [file] "r"(file)
        : "r12", "rdi", "rsi", "rdx", "rcx", "r11", "memory");
    return result;
}
