//! Records: any bytes that pass as one are written again from what was read.

// The target has the decoder's name, as all do.
#[allow(clippy::module_inception)]
pub mod record {
    use crate::bytes::Aligned;
    use lockstep_record::command::*;
    use lockstep_record::{
        Body, RECORD_HEADER_LENGTH, Record, RecordHeader, RecordWriter, write_part,
    };
    use lockstep_record::{RECORD_LENGTH_MAX, Source};

    fn header_bytes(header: &RecordHeader) -> [u8; RECORD_HEADER_LENGTH] {
        let mut out = [0; RECORD_HEADER_LENGTH];
        out[0..4].copy_from_slice(&header.length.to_le_bytes());
        out[4..6].copy_from_slice(&header.kind.0.to_le_bytes());
        out[6] = header.version;
        out[7] = header.policy as u8;
        out[8..12].copy_from_slice(&header.source.session.0.to_le_bytes());
        out[12..16].copy_from_slice(&header.source.epoch.0.to_le_bytes());
        out[16..18].copy_from_slice(&header.partition.0.to_le_bytes());
        out[18..20].copy_from_slice(&header.source.gateway.0.to_le_bytes());
        out[20..22].copy_from_slice(&header.body_length.to_le_bytes());
        out
    }

    /// A body of `B`, if it is one, read to its native value and archived again.
    fn check_body<B: Body>(record: &Record<'_>) {
        if let Some(archived) = record.body::<B>() {
            let mut out = vec![0; B::LENGTH];
            B::from_archived(archived).write(&mut out);
            let end = RECORD_HEADER_LENGTH + usize::from(record.header().body_length);
            assert_eq!(out, &record.bytes()[RECORD_HEADER_LENGTH..end]);
        }
    }

    macro_rules! every_body {
        ($($body:ident)*) => {
            fn check_bodies(record: &Record<'_>) {
                $( check_body::<$body>(record); )*
            }
        };
    }
    every_body! {
        Login Logout Disconnect EnterOrder ReplaceOrder CancelOrder ModifyOrder MassCancel
        DisableEntry EnableEntry AccountQuery SetBounds DefineFirm DefineSession DefineInstrument
        DayOpen DayClose SetInstrumentState StartAuction SetSchedule SetReferencePrice
        SetEntryState OperatorMassCancel OperatorCancel BreakTrade SetLimits SetThrottle SetProtection
        ResetProtection SetPosition RetireInstrument SetRiskBounds SetGrace
    }

    pub fn run(data: &[u8]) {
        let aligned = Aligned::copy(data);
        let mut rest = aligned.bytes();
        while let Ok((record, after)) = Record::parse(rest) {
            let header = record.header();
            let mut again = header_bytes(header).to_vec();
            let parts_at = RECORD_HEADER_LENGTH + usize::from(header.body_length);
            again.extend_from_slice(&record.bytes()[RECORD_HEADER_LENGTH..parts_at]);
            let mut out = [0; RECORD_LENGTH_MAX];
            for part in record.parts() {
                let length = write_part(&mut out, part.tag, part.policy, part.value);
                again.extend_from_slice(&out[..length]);
            }
            assert_eq!(again, record.bytes());
            check_bodies(&record);
            rest = after;
        }
    }

    pub fn seeds() -> Vec<Vec<u8>> {
        use lockstep_record::{PartTag, Policy};
        let mut all = crate::machine::prelude_records();
        let mut out = [0; RECORD_LENGTH_MAX];
        let body = CancelOrder {
            user_ref_num: 1,
            quantity: 2,
        };
        let mut writer = RecordWriter::new(&mut out, Source::default(), &body);
        writer.part(PartTag::FIRM, Policy::Reject, b"ALFA");
        writer.part(PartTag::OPERATOR, Policy::Ignore, b"somebody");
        let length = writer.finish();
        all.push(out[..length].to_vec());
        all.push(all.concat());
        all
    }
}
