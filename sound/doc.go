// Package sound is arithmetic on samples: the G.722 codec, concealment of lost frames,
// resampling, comfort noise, levels, gain, mixing, and the figures of speech quality.
//
// Samples are linear 16-bit PCM, one channel, at 8 or 16 kHz. Nothing here reads a clock,
// does I/O or starts a goroutine, and nothing allocates per frame: results go into slices
// that the caller brings. A value belongs to one stream and one goroutine at a time.
//
// Levels are in dBov unless said otherwise: 0 dBov is the power of a full-scale square wave
// (ITU-T G.100.1), so a full-scale sine has -3.01 dBov, and 0 dBm0 is -6.15 dBov (A-law;
// µ-law differs by 0.03 dB).
package sound
