package config

// FeatureCodes are what agents dial to say what they do: digits, * and #.
type FeatureCodes struct {
	// Ready for calls. Default "*1".
	Ready string `yaml:"ready" default:"*1" code:"yes"`
	// Break from calls. Default "*2".
	Break string `yaml:"break" default:"*2" code:"yes"`
	// Breaks are codes for breaks with a reason of their own. Default: none.
	Breaks []BreakCode `yaml:"breaks"`
	// LogOut for today. Default "*3".
	LogOut string `yaml:"log_out" default:"*3" code:"yes"`
	// EndWrapUp before its time. Default "*4".
	EndWrapUp string `yaml:"end_wrap_up" default:"*4" code:"yes"`
	// ExtendWrapUp by the queue's wrap_up_extension. Default "*5".
	ExtendWrapUp string `yaml:"extend_wrap_up" default:"*5" code:"yes"`
	// Supervise, with the extension or name of an agent behind it, lets a supervisor
	// listen to the talk there; the keys 1, 2 and 3 are then: listen, whisper to the
	// agent, join. Default "*6".
	Supervise string `yaml:"supervise" default:"*6" code:"yes"`
	// Conference brings the other side of the agent's own call, which has answered,
	// into the talk when it is pressed there. Default "*0".
	Conference string `yaml:"conference" default:"*0" code:"yes"`
	// Transfer sends the caller elsewhere when it is pressed during a talk, with an
	// extension and # behind it. Default "*7".
	Transfer string `yaml:"transfer" default:"*7" code:"yes"`
	// PickUp takes the call that rings longest at a seat of the agent's queues; with
	// an agent's extension or name behind it, the one that rings there. Default "*8".
	PickUp string `yaml:"pick_up" default:"*8" code:"yes"`
	// PauseRecording, pressed during a talk, pauses its recording, and goes on with it when it
	// is pressed again. Default "*99".
	PauseRecording string `yaml:"pause_recording" default:"*99" code:"yes"`
}

// BreakCode is a break with a reason.
type BreakCode struct {
	// Code to dial.
	Code string `yaml:"code" required:"yes" code:"yes"`
	// Reason as seats show it, such as "lunch".
	Reason string `yaml:"reason" required:"yes" word:"yes"`
}

// BreakReason is the reason of a break's code; false when the code is for no break.
func (f *FeatureCodes) BreakReason(code string) (reason string, ok bool) {
	if code == f.Break {
		return "feature_code", true
	}
	for _, b := range f.Breaks {
		if b.Code == code {
			return b.Reason, true
		}
	}
	return "", false
}

// namedCode is a feature code and its field.
type namedCode struct{ name, value string }

func (f *FeatureCodes) codes() []namedCode {
	list := []namedCode{
		{"ready", f.Ready}, {"break", f.Break}, {"log_out", f.LogOut}, {"end_wrap_up", f.EndWrapUp},
		{"extend_wrap_up", f.ExtendWrapUp}, {"supervise", f.Supervise}, {"conference", f.Conference}, {"transfer", f.Transfer}, {"pick_up", f.PickUp},
		{"pause_recording", f.PauseRecording},
	}
	for i, b := range f.Breaks {
		list = append(list, namedCode{index("breaks", i, "code"), b.Code})
	}
	return list
}
