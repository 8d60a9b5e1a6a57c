# The menu. `just` lists it; what the recipes do is in scripts/ and xtask/.

_menu:
    @just --list --unsorted

# format, lints, layouts, tidy: what takes seconds
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo xtask layout check
    cargo xtask tidy

# everything that must pass
test:
    scripts/test

# memwhy beside what each interpreter says of itself
oracle *ARGS:
    cargo test -p memwhy --test oracle -- --nocapture {{ARGS}}

# compare the layout tables with the dumps in testdata/dwarf
layout:
    cargo xtask layout check

# a service whose memory stays, explained and cured
demo *ARGS:
    cargo run --release -- demo {{ARGS}}

# what an explanation costs
bench:
    cargo bench -p memwhy

# format all code
fmt:
    cargo fmt --all
