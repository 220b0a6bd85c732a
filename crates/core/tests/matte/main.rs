//! The matte on real frames. `fixtures/` is made by `make_fixtures.py` from the sample clip.
mod clip;
mod edges;
mod hard;
mod levels;
mod newcomers;
mod people;
mod phantoms;
mod plate;
mod quality;
mod skip_still;
mod state;
