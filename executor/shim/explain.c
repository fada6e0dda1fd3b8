/*
 * What is wrong with a program that could not be executed: the kernel says ENOENT for a missing interpreter
 * and for Windows' line ends alike, and shells repeat it as "not found". Runs in a process that is the user,
 * inside the task: files are opened without waiting, and only the beginning of regular ones is read.
 */
#include "executor/shim/explain.h"

#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define HEAD_BYTES 4096 /* of a program; where its interpreter is named */
#define NAME_BYTES 256  /* of a path or word, escaped; a longer one is cut */
#define PATH_BYTES 4096 /* of a path that is looked at */
#define COMMANDS_MAX 64 /* of a shell's text, looked at */

struct head {
    unsigned char bytes[HEAD_BYTES];
    size_t n;
};

/* ---- words ---- */

/* Prints `n` bytes with control bytes escaped, cut at the room that there is. */
static const char *escaped(const char *text, size_t n, char *out)
{
    size_t used = 0;
    for (size_t i = 0; i < n && used + 5 < NAME_BYTES; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '\r' || c == '\n' || c == '\t')
            used += (size_t)sprintf(out + used, "\\%c", c == '\r' ? 'r' : c == '\n' ? 'n' : 't');
        else if (c < ' ' || c == 0x7f)
            used += (size_t)sprintf(out + used, "\\x%02x", c);
        else
            out[used++] = (char)c;
    }
    out[used] = '\0';
    return out;
}

/* ---- where it is ---- */

/* The file that the name stands for: itself, or the first in PATH that is there. */
static bool locate(const char *name, const char *path, char *out, size_t size)
{
    if (strchr(name, '/'))
        return snprintf(out, size, "%s", name) < (int)size;
    for (const char *at = path ? path : ""; *at;) {
        size_t n = strcspn(at, ":");
        struct stat st;
        if (snprintf(out, size, "%.*s%s%s", (int)n, at, n ? "/" : "", name) < (int)size &&
            stat(out, &st) == 0 && S_ISREG(st.st_mode))
            return true;
        at += n + (at[n] == ':');
    }
    return false;
}

static bool read_head(const char *file, struct head *head)
{
    struct stat st;
    int fd = open(file, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? pread(fd, head->bytes, HEAD_BYTES, 0) : -1;
    close(fd);
    head->n = n > 0 ? (size_t)n : 0;
    return n >= 0;
}

/* ---- what is wrong ---- */

static bool explain_missing(const char *file, const char *shown, char *out, size_t size)
{
    char target[PATH_BYTES], name[NAME_BYTES];
    int e = errno;
    ssize_t n = readlink(file, target, sizeof target);
    if (n >= 0 && e == ENOENT)
        snprintf(out, size, "command not found: %s is a link to %s, which does not exist", shown,
                 escaped(target, (size_t)n, name));
    else if (e == EACCES)
        snprintf(out, size,
                 "%s can't be executed: Permission denied: a directory of its path can't be entered", shown);
    else
        snprintf(out, size, "command not found: %s: %s", shown, strerror(e));
    return true;
}

static bool explain_mode(const char *file, const char *shown, const struct stat *st, char *out, size_t size)
{
    struct statvfs fs;
    if (S_ISDIR(st->st_mode))
        snprintf(out, size, "%s is a directory, not a program", shown);
    else if (!S_ISREG(st->st_mode))
        snprintf(out, size, "%s is not a regular file", shown);
    else if (statvfs(file, &fs) == 0 && (fs.f_flag & ST_NOEXEC))
        snprintf(out, size, "%s can't be executed: Permission denied: it is on a filesystem mounted noexec",
                 shown);
    else if (access(file, X_OK) == 0)
        return false;
    else if (st->st_mode & 0111)
        snprintf(out, size, "%s can't be executed: Permission denied: its mode %04o allows others only",
                 shown, st->st_mode & 07777);
    else
        snprintf(out, size,
                 "%s can't be executed: Permission denied: it has no execute permission; fix: chmod +x %s",
                 shown, shown);
    return true;
}

/* The interpreter, which the kernel opens as written, a carriage return and all. */
static bool explain_interpreter(const char *interpreter, size_t n, const char *shown, char *out, size_t size)
{
    char path[PATH_BYTES], name[NAME_BYTES];
    struct stat st;
    snprintf(path, sizeof path, "%.*s", (int)n, interpreter);
    escaped(interpreter, n, name);
    bool returns = n && interpreter[n - 1] == '\r';
    if (stat(path, &st) != 0)
        snprintf(out, size, "%s can't be executed: its interpreter %s can't be opened: %s%s%s", shown, name,
                 strerror(errno),
                 returns ? ": its lines end as on Windows (\\r\\n); fix: sed -i 's/\\r$//' " : "",
                 returns ? shown : "");
    else if (!S_ISREG(st.st_mode) || access(path, X_OK) != 0)
        snprintf(out, size, "%s can't be executed: its interpreter %s is %s", shown, name,
                 S_ISDIR(st.st_mode) ? "a directory" : "not executable");
    else
        return false;
    return true;
}

/* "#!/usr/bin/env NAME": what env then looks for in PATH. */
static bool explain_env(const char *word, size_t n, const char *path, const char *shown, char *out,
                        size_t size)
{
    char name[NAME_BYTES], text[PATH_BYTES], file[PATH_BYTES];
    snprintf(text, sizeof text, "%.*s", (int)n, word);
    if (!n || *word == '-' || strchr(text, '=') || locate(text, path, file, sizeof file))
        return false;
    bool returns = word[n - 1] == '\r';
    snprintf(out, size, "%s can't be executed: its interpreter %s is not in PATH%s%s", shown,
             escaped(word, n, name),
             returns ? ": its lines end as on Windows (\\r\\n); fix: sed -i 's/\\r$//' " : "",
             returns ? shown : "");
    return true;
}

static bool explain_script(const struct head *head, const char *path, const char *shown, char *out,
                           size_t size)
{
    const char *text = (const char *)head->bytes, *end = memchr(text, '\n', head->n);
    const char *at = text + 2, *stop = end ? end : text + head->n;
    while (at < stop && (*at == ' ' || *at == '\t'))
        at++;
    const char *word = at;
    while (at < stop && *at != ' ' && *at != '\t' && *at)
        at++;
    if (at == word)
        return false; /* shells run it themselves */
    if (explain_interpreter(word, (size_t)(at - word), shown, out, size))
        return true;
    bool env = at - word >= 4 && memcmp(at - 4, "/env", 4) == 0;
    while (at < stop && (*at == ' ' || *at == '\t'))
        at++;
    word = at;
    while (at < stop && *at != ' ' && *at != '\t' && *at)
        at++;
    return env && explain_env(word, (size_t)(at - word), path, shown, out, size);
}

static const char *machine_name(unsigned machine)
{
    static const struct {
        unsigned machine;
        const char *name;
    } names[] = {{EM_386, "i386"},    {EM_X86_64, "x86-64"}, {EM_ARM, "arm"},    {EM_AARCH64, "aarch64"},
                 {EM_PPC64, "ppc64"}, {EM_S390, "s390"},     {EM_RISCV, "riscv"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].machine == machine)
            return names[i].name;
    return "another machine";
}

#if defined(__x86_64__)
#define OWN_MACHINE EM_X86_64
#else
#define OWN_MACHINE EM_AARCH64
#endif

static bool explain_elf(const struct head *head, const char *shown, char *out, size_t size)
{
    Elf64_Ehdr h;
    if (head->n < sizeof h) {
        snprintf(out, size, "%s can't be executed: the program is cut short (%zu bytes)", shown, head->n);
        return true;
    }
    memcpy(&h, head->bytes, sizeof h);
    unsigned machine =
        h.e_ident[EI_DATA] == ELFDATA2MSB ? (unsigned)__builtin_bswap16(h.e_machine) : h.e_machine;
    if (machine != OWN_MACHINE) {
        snprintf(out, size, "%s can't be executed: it is a program for %s, and this node is %s", shown,
                 machine_name(machine), machine_name(OWN_MACHINE));
        return true;
    }
    if (h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_phentsize != sizeof(Elf64_Phdr) || h.e_phoff > head->n)
        return false;
    for (size_t i = 0; i < h.e_phnum && h.e_phoff + (i + 1) * sizeof(Elf64_Phdr) <= head->n; i++) {
        Elf64_Phdr p;
        memcpy(&p, head->bytes + h.e_phoff + i * sizeof p, sizeof p);
        if (p.p_type == PT_INTERP && p.p_offset < head->n && p.p_filesz &&
            p.p_filesz <= head->n - p.p_offset) {
            const char *interpreter = (const char *)head->bytes + p.p_offset;
            return explain_interpreter(interpreter, strnlen(interpreter, p.p_filesz), shown, out, size);
        }
    }
    return false;
}

bool explain_program(const char *name, const char *path, char *out, size_t size)
{
    static struct head head;
    char file[PATH_BYTES], shown[NAME_BYTES];
    struct stat st;
    *out = '\0';
    escaped(name, strlen(name), shown);
    if (!locate(name, path, file, sizeof file)) {
        snprintf(out, size, "command not found: %s", shown);
        return true;
    }
    if (stat(file, &st) != 0)
        return explain_missing(file, shown, out, size);
    if (explain_mode(file, shown, &st, out, size))
        return true;
    if (!read_head(file, &head))
        return false; /* executable, not readable: nothing more is known */
    if (head.n >= SELFMAG && memcmp(head.bytes, ELFMAG, SELFMAG) == 0)
        return explain_elf(&head, shown, out, size);
    return head.n > 2 && memcmp(head.bytes, "#!", 2) == 0 && explain_script(&head, path, shown, out, size);
}

/* ---- a shell's command ---- */

static bool is_plain(const char *word, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strchr("'\"\\$`*?[]{}<>=~#", word[i]))
            return false;
    return n > 0;
}

/* Words after which a command begins. */
static bool opens_command(const char *word, size_t n)
{
    static const char *const words[] = {"then", "do", "else", "exec", "time", "if", "while", "!", "{"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i]) == n && memcmp(words[i], word, n) == 0)
            return true;
    return false;
}

/* Behind it relative paths are from another directory. */
static bool is_cd(const char *word, size_t n)
{
    return (n == 2 && memcmp(word, "cd", 2) == 0) || (n == 5 && memcmp(word, "pushd", 5) == 0);
}

static bool explain_shell(const char *text, const char *path, char *out, size_t size)
{
    bool begins = true, moved = false;
    int commands = 0;
    for (const char *at = text; *at && commands < COMMANDS_MAX;) {
        if (strchr(";|&(\n", *at)) {
            begins = true;
            at++;
            continue;
        }
        if (isspace((unsigned char)*at)) {
            at++;
            continue;
        }
        size_t n = strcspn(at, " \t\n;|&()");
        char word[PATH_BYTES];
        if (n == 0) { /* a closing parenthesis */
            at++;
            continue;
        }
        moved = moved || (begins && is_cd(at, n));
        bool named =
            begins && memchr(at, '/', n) && is_plain(at, n) && n < sizeof word && (!moved || *at == '/');
        if (named) {
            commands++;
            snprintf(word, sizeof word, "%.*s", (int)n, at);
            if (explain_program(word, path, out, size))
                return true;
        }
        begins = begins && (opens_command(at, n) || memchr(at, '=', n));
        at += n;
    }
    *out = '\0';
    return false;
}

bool explain_command(char *const *argv, const char *path, char *out, size_t size)
{
    const char *slash = strrchr(argv[0], '/'), *base = slash ? slash + 1 : argv[0];
    static const char *const shells[] = {"sh", "bash", "dash", "zsh", "ksh"};
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++)
        if (strcmp(base, shells[i]) == 0 && argv[1] && argv[1][0] == '-' && argv[1][1] != '-' &&
            strchr(argv[1], 'c') && argv[2])
            return explain_shell(argv[2], path, out, size);
    return explain_program(argv[0], path, out, size);
}
