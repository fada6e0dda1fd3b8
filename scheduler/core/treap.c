/*
 * Ordered sets: the classes by their heads, and each class's jobs. Links lie in the records. A weight is a
 * fixed hash of an id, so a treap's shape follows from its members alone.
 *
 * Order of classes: tier, then place, then their heads; of jobs: as they were submitted.
 */
#include "scheduler/core/arena.h"

static uint32_t *left_of(const struct core *core, bool klasses, uint32_t slot)
{
    return klasses ? &core->klasses[slot].left : &core->jobs[slot].left;
}

static uint32_t *right_of(const struct core *core, bool klasses, uint32_t slot)
{
    return klasses ? &core->klasses[slot].right : &core->jobs[slot].right;
}

static uint32_t *size_of(const struct core *core, bool klasses, uint32_t slot)
{
    return klasses ? &core->klasses[slot].size : &core->jobs[slot].size;
}

bool treap_before(const struct core *core, bool klasses, uint32_t a, uint32_t b)
{
    if (klasses) {
        const struct klass *x = &core->klasses[a], *y = &core->klasses[b];
        if (x->key.tier != y->key.tier)
            return x->key.tier < y->key.tier;
        if (x->key.place != y->key.place)
            return x->key.place < y->key.place;
        a = x->head;
        b = y->head;
    }
    const struct job_facts *x = &core->jobs[a].facts, *y = &core->jobs[b].facts;
    return x->seq != y->seq ? x->seq < y->seq : x->id < y->id;
}

uint64_t treap_weight(const struct core *core, bool klasses, uint32_t slot)
{
    /* A class has the weight of its head; it leaves the treap before its head changes. */
    uint64_t id = core->jobs[klasses ? core->klasses[slot].head : slot].facts.id;
    return core_mix(id ^ UINT64_C(0x5bd1e9955bd1e995));
}

static void resize(struct treap t, uint32_t slot)
{
    *size_of(t.core, t.klasses, slot) = 1 + *size_of(t.core, t.klasses, *left_of(t.core, t.klasses, slot)) +
                                        *size_of(t.core, t.klasses, *right_of(t.core, t.klasses, slot));
}

/* Those before slot into *left, the others into *right. */
static void split(struct treap t, uint32_t tree, uint32_t slot, uint32_t *left, uint32_t *right)
{
    if (!tree) {
        *left = *right = 0;
    } else if (treap_before(t.core, t.klasses, tree, slot)) {
        split(t, *right_of(t.core, t.klasses, tree), slot, right_of(t.core, t.klasses, tree), right);
        *left = tree;
        resize(t, tree);
    } else {
        split(t, *left_of(t.core, t.klasses, tree), slot, left, left_of(t.core, t.klasses, tree));
        *right = tree;
        resize(t, tree);
    }
}

static uint32_t merge(struct treap t, uint32_t left, uint32_t right)
{
    if (!left || !right)
        return left ? left : right;
    uint32_t *link;
    if (treap_weight(t.core, t.klasses, left) >= treap_weight(t.core, t.klasses, right)) {
        link = right_of(t.core, t.klasses, left);
        *link = merge(t, *link, right);
        resize(t, left);
        return left;
    }
    link = left_of(t.core, t.klasses, right);
    *link = merge(t, left, *link);
    resize(t, right);
    return right;
}

void treap_add(struct treap t, uint32_t *root, uint32_t slot)
{
    uint64_t weight = treap_weight(t.core, t.klasses, slot);
    uint32_t *link = root;
    while (*link && treap_weight(t.core, t.klasses, *link) > weight) {
        uint32_t at = *link;
        ++*size_of(t.core, t.klasses, at);
        link = treap_before(t.core, t.klasses, at, slot) ? right_of(t.core, t.klasses, at)
                                                         : left_of(t.core, t.klasses, at);
    }
    uint32_t below = *link;
    *link = slot;
    split(t, below, slot, left_of(t.core, t.klasses, slot), right_of(t.core, t.klasses, slot));
    resize(t, slot);
}

void treap_remove(struct treap t, uint32_t *root, uint32_t slot)
{
    uint32_t *link = root;
    while (*link != slot) {
        uint32_t at = *link;
        CORE_ASSERT(at);
        --*size_of(t.core, t.klasses, at);
        link = treap_before(t.core, t.klasses, at, slot) ? right_of(t.core, t.klasses, at)
                                                         : left_of(t.core, t.klasses, at);
    }
    *link = merge(t, *left_of(t.core, t.klasses, slot), *right_of(t.core, t.klasses, slot));
    *left_of(t.core, t.klasses, slot) = *right_of(t.core, t.klasses, slot) = 0;
    *size_of(t.core, t.klasses, slot) = 0;
}

uint32_t treap_first(struct treap t, uint32_t root)
{
    while (root && *left_of(t.core, t.klasses, root))
        root = *left_of(t.core, t.klasses, root);
    return root;
}

uint32_t treap_next(struct treap t, uint32_t root, uint32_t slot)
{
    uint32_t best = 0;
    while (root) {
        if (treap_before(t.core, t.klasses, slot, root)) {
            best = root;
            root = *left_of(t.core, t.klasses, root);
        } else {
            root = *right_of(t.core, t.klasses, root);
        }
    }
    return best;
}

uint32_t treap_seek(const struct core *core, uint64_t tier, uint32_t place)
{
    uint32_t best = 0;
    for (uint32_t at = core->h->klass_root; at;) {
        const struct klass *k = &core->klasses[at];
        if (k->key.tier < tier || (k->key.tier == tier && k->key.place < place)) {
            at = k->right;
        } else {
            best = at;
            at = k->left;
        }
    }
    return best && core->klasses[best].key.tier == tier ? best : 0;
}

uint32_t treap_after_tier(const struct core *core, uint64_t tier)
{
    uint32_t best = 0;
    for (uint32_t at = core->h->klass_root; at;) {
        bool after = core->klasses[at].key.tier > tier;
        best = after ? at : best;
        at = after ? core->klasses[at].left : core->klasses[at].right;
    }
    return best;
}

uint32_t treap_rank(struct treap t, uint32_t root, uint32_t slot)
{
    uint32_t rank = 0;
    while (root) {
        if (treap_before(t.core, t.klasses, root, slot)) {
            rank += *size_of(t.core, t.klasses, *left_of(t.core, t.klasses, root)) + 1;
            root = *right_of(t.core, t.klasses, root);
        } else {
            root = *left_of(t.core, t.klasses, root);
        }
    }
    return rank;
}
