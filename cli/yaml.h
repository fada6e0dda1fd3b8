/*
 * Job files: YAML to JSON, with positions kept, so that every complaint names file and line. The whole
 * document is the tree of one YAML 1.2 document; plain scalars are typed by its core schema, but a number
 * whose text would not survive being a number (1.10, 007, 0x1f, 1e-3) stays text, since most of them end up
 * in command lines.
 */
#ifndef BERTH_CLI_YAML_H
#define BERTH_CLI_YAML_H

#include "base/error.h"
#include "proto/json.h"

#include <stddef.h>

#define YAML_FILE_MAX_BYTES (16 << 20)
#define YAML_DEPTH_MAX 64
#define YAML_ANCHORS_MAX 1000  /* &NAME in one file: libfyaml looks each up in a list */
#define YAML_ALIASES_MAX 10000 /* *NAME followed in one file */
#define YAML_NODES_MAX 200000  /* after aliases are followed: a file of nested aliases is no bomb */

struct yaml_file;

/* Parses `len` bytes; `name` stands in messages. NULL with the error's position and line in the message. */
struct yaml_file *yaml_parse(const char *name, const char *text, size_t len, struct error *err);
/* Reads and parses a file ("-" is standard input). */
struct yaml_file *yaml_read(const char *path, struct error *err);
void yaml_free(struct yaml_file *file); /* takes NULL */
/* The tree, owned by the file; it may be changed in place. */
cJSON *yaml_json(struct yaml_file *file);
/* Takes the tree out of the file; positions stay. The caller deletes. */
cJSON *yaml_take_json(struct yaml_file *file);
/* Line (from 1) where the dotted field ("resources.gpus") stands, or its nearest parent; 0 where unknown. */
int yaml_line(struct yaml_file *file, const char *field);

#endif
