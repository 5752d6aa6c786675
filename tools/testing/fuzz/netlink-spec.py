#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
#
# netlink-spec.py SPEC - print what a fuzzer must know of a netlink family as tables in C:
# the attributes of each set, and of each operation the attributes that a request may have.
import sys

import yaml

TYPES = {'u8': 'U8', 'u32': 'U32', 'u64': 'U64', 'flag': 'FLAG', 'binary': 'BINARY',
         'string': 'STRING', 'nest': 'NEST'}


def word(name):
    return name.upper().replace('-', '_')


def limit(value):
    return f'CPR_{word(value)}' if isinstance(value, str) else str(value)


def attribute(of, attr):
    checks = attr.get('checks', {})
    length = checks.get('exact-len', checks.get('max-len', 0))
    nested = f'&set_{word(attr["nested-attributes"])}' if 'nested-attributes' in attr else 'NULL'
    enum = attr.get('enum')
    last = f'CPR_{word(enum)}_{word(ENUMS[enum][-1])}' if enum else '0'
    return (f'\t{{ "{attr["name"]}", CPR_A_{word(of)}_{word(attr["name"])}, '
            f'{TYPES[attr["type"]]}, {limit(length)}, {int("exact-len" in checks)}, '
            f'{int(attr.get("multi-attr", False))}, {last}, {nested} }},')


def print_set(entry):
    name = entry['name']
    print(f'static const struct attr attrs_{word(name)}[] = {{')
    for attr in entry['attributes']:
        print(attribute(name, attr))
    print('};')
    print(f'static const struct set set_{word(name)} = {{ attrs_{word(name)}, '
          f'{len(entry["attributes"])} }};')


def print_operation(op, how):
    takes = op[how].get('request', {}).get('attributes', [])
    mask = ' | '.join(f'1ull << CPR_A_{word(op["attribute-set"])}_{word(a)}' for a in takes)
    print(f'\t{{ "{op["name"]}{" (dump)" if how == "dump" else ""}", '
          f'CPR_CMD_{word(op["name"])}, {"true" if how == "dump" else "false"}, '
          f'&set_{word(op["attribute-set"])}, {mask or 0} }},')


with open(sys.argv[1]) as file:
    spec = yaml.safe_load(file)
ENUMS = {d['name']: [e['name'] for e in d['entries']]
         for d in spec['definitions'] if d['type'] == 'enum'}
sets = {s['name']: s for s in spec['attribute-sets']}
nests = {a['nested-attributes'] for s in sets.values() for a in s['attributes']
         if 'nested-attributes' in a}
for name in sorted(sets, key=lambda n: n not in nests):
    print_set(sets[name])
print('static const struct op ops[] = {')
for op in spec['operations']['list']:
    for how in ('do', 'dump'):
        if how in op:
            print_operation(op, how)
print('};')
