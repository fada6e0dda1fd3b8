/* Who changed what, from a kept journal, whether or not its Berth runs: for who may read the files. */
#include "scheduler/audit.h"
#include "scheduler/entry.h"

#include "base/cleanup.h"
#include "scheduler/sim_journal.h"

static bool take_line(void *data, const struct journal_audit *line)
{
    cJSON_AddItemToArray(data, audit_object(line));
    return true;
}

cJSON *audit_kept(const char *state_dir, struct audit_query *query, struct error *err)
{
    struct journal_audit_filter filter = {.since_ms = query->since_ms,
                                          .until_ms = query->until_ms,
                                          .user = query->user,
                                          .what = query->what,
                                          .job = query->job,
                                          .all = true,
                                          .limit = query->limit};
    bool kept = true;
    if (!audit_kind_check(query->what, err))
        return NULL;
    _cleanup_free_ char *folder = sim_journal_folder(state_dir);
    if (!folder) {
        error_set(err, ERROR_NOT_FOUND, "there is no journal in %s", state_dir);
        return NULL;
    }
    struct journal_reader *reader = journal_reader_open(folder, err);
    if (reader)
        journal_reader_patient(reader);
    cJSON *lines = reader ? cJSON_CreateArray() : NULL;
    if (lines && !journal_read_audit(reader, &filter, take_line, lines, &kept, err)) {
        cJSON_Delete(lines);
        lines = NULL;
    }
    journal_reader_close(reader);
    query->not_kept = !kept;
    return lines;
}
