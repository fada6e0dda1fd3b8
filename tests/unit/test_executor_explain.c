/* executor/shim/explain: what is wrong with a program, for files of each kind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/fs.h"
#include "executor/shim/explain.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

static void put(const char *name, const void *bytes, size_t n, mode_t mode)
{
    assert_true(fs_write_atomic(AT_FDCWD, name, bytes, n, 0600, NULL));
    assert_int_equal(chmod(name, mode), 0);
}

static void put_text(const char *name, const char *text, mode_t mode)
{
    put(name, text, strlen(text), mode);
}

static void put_elf(const char *name, unsigned machine, const char *interpreter, size_t bytes)
{
    unsigned char file[512] = {0};
    Elf64_Ehdr h = {.e_machine = (Elf64_Half)machine,
                    .e_phoff = sizeof h,
                    .e_phentsize = sizeof(Elf64_Phdr),
                    .e_phnum = 1};
    memcpy(h.e_ident, ELFMAG, SELFMAG);
    h.e_ident[EI_CLASS] = ELFCLASS64;
    h.e_ident[EI_DATA] = ELFDATA2LSB;
    Elf64_Phdr p = {.p_type = PT_INTERP, .p_offset = 256, .p_filesz = strlen(interpreter) + 1};
    memcpy(file, &h, sizeof h);
    memcpy(file + sizeof h, &p, sizeof p);
    memcpy(file + 256, interpreter, strlen(interpreter) + 1);
    put(name, file, bytes, 0755);
}

static int make_files(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/berth-unit-XXXXXX");
    if (!mkdtemp(dir) || chdir(dir) != 0)
        return 1;
    put_text("good.sh", "#!/bin/sh\n", 0755);
    put_text("plain.sh", "echo\n", 0755);
    put_text("windows.sh", "#!/bin/sh\r\necho\r\n", 0755);
    put_text("windows.py", "#!/usr/bin/env sh\r\n", 0755);
    put_text("missing.sh", "#! /opt/no/such -x\n", 0755);
    put_text("env.sh", "#!/usr/bin/env no-such-program\n", 0755);
    put_text("env-s.sh", "#!/usr/bin/env -S sh\n", 0755);
    put_text("nobit.sh", "#!/bin/sh\n", 0644);
    put_text("bad\rname", "#!/bin/sh\n", 0644);
    put_text("script-of-a-directory", "#!/usr\n", 0755);
    put_text("empty", "", 0755);
    put_elf("other", EM_S390, "", 512);
    put_elf("interp", EM_X86_64, "/lib/no-such-ld.so", 512);
    put_elf("short", EM_X86_64, "", 20);
    mkdir("directory", 0755);
    mkfifo("fifo", 0755);
    return symlink("/no/such/target", "link");
}

static int remove_files(void **state)
{
    (void)state;
    return chdir("/") == 0 && fs_remove_tree(AT_FDCWD, dir, NULL) ? 0 : 1;
}

static const struct {
    const char *name, *words; /* NULL: nothing is wrong with it */
} rows[] = {
    {"./good.sh", NULL},
    {"./plain.sh", NULL},
    {"./empty", NULL},
    {"./env-s.sh", NULL},
    {"sh", NULL},
    {"no-such-program", "command not found: no-such-program"},
    {"./no-such", "command not found: ./no-such: No such file"},
    {"./good.sh/x", "command not found: ./good.sh/x: Not a directory"},
    {"./windows.sh",
     "interpreter /bin/sh\\r can't be opened: No such file or directory: its lines end as on Windows "
     "(\\r\\n); fix: sed -i 's/\\r$//' ./windows.sh"},
    {"./windows.py", "interpreter sh\\r is not in PATH: its lines end as on Windows"},
    {"./missing.sh", "interpreter /opt/no/such can't be opened: No such file"},
    {"./env.sh", "interpreter no-such-program is not in PATH"},
    {"./nobit.sh", "no execute permission; fix: chmod +x ./nobit.sh"},
    {"./bad\rname", "./bad\\rname can't be executed"},
    {"./script-of-a-directory", "interpreter /usr is a directory"},
    {"./directory", "./directory is a directory, not a program"},
    {"./fifo", "./fifo is not a regular file"},
    {"./link", "./link is a link to /no/such/target, which does not exist"},
    {"./other", "it is a program for s390, and this node is"},
    {"./interp", "interpreter /lib/no-such-ld.so can't be opened"},
    {"./short", "cut short (20 bytes)"},
};

static void each_kind_of_file_has_its_words(void **state)
{
    (void)state;
    char why[EXPLAIN_BYTES_MAX];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool wrong = explain_program(rows[i].name, "/usr/bin:/bin", why, sizeof why);
        print_message("%s: %s\n", rows[i].name, why);
        assert_int_equal(wrong, rows[i].words != NULL);
        assert_true(!wrong || !rows[i].words || strstr(why, rows[i].words));
        assert_null(strchr(why, '\r'));
    }
}

static void a_shells_text_is_searched_where_commands_begin(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } texts[] = {
        {"./nobit.sh", "chmod +x ./nobit.sh"},
        {"A=1 ./windows.sh arg", "/bin/sh\\r"},
        {"cd directory && ./nobit.sh", NULL},
        {"cd directory && /etc/passwd", "chmod +x /etc/passwd"},
        {"cat ./nobit.sh ./directory; no-such", NULL},
        {"true && exec ./missing.sh", "/opt/no/such"},
        {"if ./good.sh; then (./directory); fi", "directory"},
        {"\"$X\"/a; '/no/such'; ./$Y; /no/such*", NULL},
        {"", NULL},
        {"a/b", "command not found: a/b"},
    };
    char why[EXPLAIN_BYTES_MAX];
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char *argv[] = {(char *)"/bin/sh", (char *)"-c", (char *)texts[i].text, NULL};
        bool wrong = explain_command(argv, "/usr/bin:/bin", why, sizeof why);
        print_message("%s: %s\n", texts[i].text, why);
        assert_int_equal(wrong, texts[i].words != NULL);
        assert_true(!wrong || !texts[i].words || strstr(why, texts[i].words));
    }
}

static void long_names_and_long_first_lines_are_cut(void **state)
{
    (void)state;
    char why[EXPLAIN_BYTES_MAX], text[10000];
    memset(text, 'x', sizeof text);
    memcpy(text, "#!/", 3);
    put("long.sh", text, sizeof text, 0755);
    assert_true(explain_program("./long.sh", "", why, sizeof why));
    assert_true(strlen(why) < sizeof why && strstr(why, "File name too long"));
    text[sizeof text - 1] = '\0';
    assert_true(explain_program(text, "", why, sizeof why));
    char *argv[] = {(char *)"sh", (char *)"-ec", text, NULL};
    explain_command(argv, "", why, sizeof why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_file_has_its_words),
        cmocka_unit_test(a_shells_text_is_searched_where_commands_begin),
        cmocka_unit_test(long_names_and_long_first_lines_are_cut),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
