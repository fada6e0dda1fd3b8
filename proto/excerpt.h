/* Values in messages: whole, or by their head and tail, which tell two long ones apart. */
#ifndef BERTH_PROTO_EXCERPT_H
#define BERTH_PROTO_EXCERPT_H

#include <stddef.h>

#define EXCERPT_WHOLE_MAX 200 /* bytes of a text that is shown whole */

struct excerpt {
    char text[EXCERPT_WHOLE_MAX + 1];
};

/* "HEAD[...N bytes...]TAIL" where the text is longer than EXCERPT_WHOLE_MAX; cut between characters of UTF-8.
 */
struct excerpt excerpt_of(const char *text);
/* The same, with `whole` (at most EXCERPT_WHOLE_MAX) in place of EXCERPT_WHOLE_MAX. */
struct excerpt excerpt_within(const char *text, size_t whole);
/* For an argument of printf: lives until the end of the statement. */
#define EXCERPT(t) (excerpt_of(t).text)

#endif
