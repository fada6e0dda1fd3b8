/* berth doctor */
#include "cli/verbs.h"

#include "base/cleanup.h"
#include "base/print.h"
#include "cli/client.h"
#include "cli/doctor.h"
#include "cli/show.h"
#include "cli/where.h"

#include <stdio.h>

struct doctor_args {
    struct args_base base;
};

static const struct opt doctor_opts[] = {
    OPT_HOST(struct doctor_args),
    OPT_OUTPUT(struct doctor_args),
    {0},
};

static const char *const level_names[] = {"ok", "warn", "missing"};

static void check_berth(struct doctor *d, const struct args_base *base)
{
    struct error err = {0};
    _cleanup_client_ struct client *client = client_open(base, &err);
    _cleanup_json_ cJSON *version =
        client ? client_call(client, "GET", "/v1/version", NULL, 5000, &err) : NULL;
    if (version)
        doctor_add(d, DOCTOR_OK, "Berth", NULL, "version %s answers at %s; you are %s%s",
                   json_str(version, "version", "?"), client->where.socket,
                   json_str(version, "principal", "?"),
                   json_bool(version, "admin", false) ? ", an administrator" : "");
    else if (client && client->where.kind == WHERE_OWN && err.code == ERROR_UNAVAILABLE)
        doctor_add(d, DOCTOR_OK, "Berth", NULL, "not running; berth run starts it");
    else
        doctor_add(d, DOCTOR_MISSING, "Berth", err.hint[0] ? err.hint : NULL, "%s", err.message);
}

static void print_findings(const struct doctor *d)
{
    static const enum term_colour colours[] = {TERM_GREEN, TERM_YELLOW, TERM_RED};
    bool coloured = term_has_colour(STDOUT_FILENO);
    for (size_t i = 0; i < d->count; i++) {
        const struct doctor_finding *f = &d->items[i];
        _cleanup_buf_ struct buf line = {0};
        buf_printf(&line, "%s%-8s%s%-16s ", coloured ? term_colour_code(colours[f->level]) : "",
                   level_names[f->level], coloured ? TERM_RESET : "", f->subject);
        term_add_safe(&line, f->text, false);
        buf_add_char(&line, '\n');
        print_coloured(PRINT_OUT, &line, coloured);
        if (f->mend)
            print_line(PRINT_OUT, "%-24s try: %s", "", f->mend);
    }
}

static void print_findings_json(const struct doctor *d)
{
    _cleanup_json_ cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < d->count; i++) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "level", level_names[d->items[i].level]);
        json_add_str(item, "subject", d->items[i].subject);
        json_add_str(item, "text", d->items[i].text);
        json_add_str(item, "mend", d->items[i].mend);
        cJSON_AddItemToArray(list, item);
    }
    show_json(list);
}

static int run_doctor(void *p, int argc, char **argv)
{
    struct doctor_args *args = p;
    bool bad_output, json = cli_wants_json(&args->base, &bad_output);
    if (bad_output)
        return cli_usage("doctor", "-o takes json or table, not \"%s\"", args->base.output);
    if (argc > 0)
        return cli_usage("doctor", "doctor takes no operands; \"%s\" is one", argv[0]);
    struct error err = {0};
    _cleanup_free_ char *state_dir = where_state_dir(args->base.state_dir, &err);
    if (!state_dir)
        return cli_fail(&err);
    struct doctor d = {.is_root = geteuid() == 0, .state_dir = state_dir};
    doctor_check_kernel(&d);
    doctor_check_cgroups(&d);
    doctor_check_runtimes(&d);
    doctor_check_gpus(&d);
    doctor_check_state(&d);
    doctor_check_login(&d);
    check_berth(&d, &args->base);
    bool missing = false;
    for (size_t i = 0; i < d.count; i++)
        missing = missing || d.items[i].level == DOCTOR_MISSING;
    if (json)
        print_findings_json(&d);
    else
        print_findings(&d);
    doctor_finish(&d);
    return missing ? EXIT_REFUSED : EXIT_OK;
}

const struct verb verb_doctor = {
    .name = "doctor",
    .synopsis = "[-o json]",
    .summary = "check this machine: what is there, what is missing, how to mend it",
    .details =
        "Works without a running Berth and changes nothing. The exit code is 1 where something is missing.",
    .options = doctor_opts,
    .args_size = sizeof(struct doctor_args),
    .run = run_doctor,
};
